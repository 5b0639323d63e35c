//! Many steps side by side, with a bound, joined in order.

use futures_util::{StreamExt, stream};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::context::Context;
use crate::error::Failure;

impl Context {
    /// Runs one durable step per item, at most `bound` at a time, and gives
    /// their results in the items' order.
    ///
    /// One item's failure leaves the others running; its error stands in its
    /// place. Items finished by an earlier attempt are not run again.
    ///
    /// # Errors
    /// [`Failure::Stopped`] when the attempt is to stop; otherwise only what
    /// keeps stored steps from being read at all.
    pub async fn fan_out<I, T, F>(
        &self,
        name: &str,
        items: Vec<I>,
        bound: usize,
        run: impl Fn(I) -> F,
    ) -> Result<Vec<Result<T, Failure>>, Failure>
    where
        I: Serialize,
        T: Serialize + DeserializeOwned,
        F: Future<Output = Result<T, Failure>>,
    {
        let run = &run;
        let numbered = items.into_iter().enumerate();
        let steps = numbered.map(|(place, item)| async move {
            let result = match serde_json::to_value(&item) {
                Ok(input) => self.step(name, &input, || run(item)).await,
                Err(error) => Err(Failure::give_up(
                    "step_input",
                    format!("an item has no JSON form: {error}"),
                )),
            };
            (place, result)
        });
        // Not `buffered`: it counts results that wait for an earlier one as running.
        let mut results: Vec<_> = stream::iter(steps)
            .buffer_unordered(bound.max(1))
            .collect()
            .await;
        results.sort_unstable_by_key(|(place, _)| *place);
        let results = results.into_iter().map(|(_, result)| result).collect();
        if self.stop().is_cancelled() {
            Err(Failure::Stopped)
        } else {
            Ok(results)
        }
    }
}
