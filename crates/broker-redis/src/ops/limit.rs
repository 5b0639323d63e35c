//! Limiting what a queue gives.

use lovage_core::bound;
use lovage_core::error::BrokerError;
use lovage_core::id::QueueName;
use lovage_core::queue::QueueLimits;

use crate::connect::Store;
use crate::script;

impl Store {
    pub(crate) async fn limit(
        &self,
        queue: &QueueName,
        wanted: &QueueLimits,
    ) -> Result<(), BrokerError> {
        bound::weights(wanted)?;
        self.know_queues(&[queue]).await?;
        let all = serde_json::to_string(wanted).expect("limits have a JSON form");
        let number =
            |number: Option<i64>| number.map_or(String::new(), |number| number.to_string());
        let mut call = script::LIMIT.on(self.keys.queue(queue));
        call.arg(self.time.argument())
            .arg(if *wanted == QueueLimits::default() {
                ""
            } else {
                &all
            })
            .arg(number(wanted.concurrency.map(i64::from)))
            .arg(number(wanted.rate.map(|rate| rate.interval_us())))
            .arg(number(wanted.rate.map(|rate| i64::from(rate.burst.max(1)))))
            .arg(
                wanted
                    .length
                    .map_or(String::new(), |length| length.to_string()),
            )
            .arg(wanted.weights.len());
        for (tenant, weight) in &wanted.weights {
            call.arg(tenant.as_str()).arg(weight.step());
        }
        self.call_kept(&call).await
    }
}
