//! A connection as one script call sees it.

use std::io;
use std::time::Duration;

use redis::aio::ConnectionLike;
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{Route, RoutingInfo, SingleNodeRoutingInfo, SlotAddr};
use redis::{Arg, Cmd, Pipeline, RedisError, RedisFuture, RedisResult, Value};

/// Longest wait for replicas; well below the longest wait for an answer.
const REPLICAS_WAIT: Duration = Duration::from_secs(1);
/// Where `EVALSHA hash keys key …` has its first key.
const KEY_AT: usize = 3;

/// The first key of a script call; none of another command.
fn script_key(command: &Cmd) -> Option<&[u8]> {
    let mut args = command.args_iter().map(|arg| match arg {
        Arg::Simple(bytes) => bytes,
        _ => &[],
    });
    let is_call = args.next()?.eq_ignore_ascii_case(b"EVALSHA");
    is_call.then(|| args.nth(KEY_AT - 1)).flatten()
}

/// The node of one slot: a script that it does not know is loaded there, while
/// the driver would load it on all masters, and fail where one of them is away.
pub(super) struct SlotLine {
    cluster: ClusterConnection,
    to: SingleNodeRoutingInfo,
}

impl SlotLine {
    pub(super) fn new(cluster: ClusterConnection) -> Self {
        Self {
            cluster,
            to: SingleNodeRoutingInfo::RandomPrimary,
        }
    }

    fn aim(&mut self, command: &Cmd) {
        if let Some(key) = script_key(command) {
            let route = Route::with_key(key, SlotAddr::Master);
            self.to = SingleNodeRoutingInfo::SpecificNode(route);
        }
    }
}

impl ConnectionLike for SlotLine {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        self.aim(command);
        let to = RoutingInfo::SingleNode(self.to.clone());
        Box::pin(self.cluster.route_command(command.clone(), to))
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        if let Some(first) = pipeline.cmd_iter().next() {
            self.aim(first);
        }
        let to = self.to.clone();
        Box::pin(
            self.cluster
                .route_pipeline(pipeline.clone(), offset, count, to),
        )
    }

    fn get_db(&self) -> i64 {
        self.cluster.get_db()
    }
}

/// A connection whose script calls succeed once some replicas have what they
/// wrote. `WAIT` travels with the call: it counts the writes of its own connection.
pub(super) struct Kept<C> {
    connection: C,
    replicas: u32,
}

impl<C> Kept<C> {
    pub(super) fn new(connection: C, replicas: u32) -> Self {
        Self {
            connection,
            replicas,
        }
    }

    fn with_wait(&self, call: &Cmd) -> Pipeline {
        let mut pipeline = redis::pipe();
        pipeline.add_command(call.clone());
        let patience = REPLICAS_WAIT.as_millis().to_string();
        pipeline.cmd("WAIT").arg(self.replicas).arg(patience);
        pipeline
    }

    /// The answer of the call, where enough replicas have it.
    fn judge(&self, answers: Vec<Value>) -> RedisResult<Value> {
        let [answer, have]: [Value; 2] = answers
            .try_into()
            .map_err(|_| unknown("no answer to WAIT".to_owned()))?;
        let answer = answer.extract_error()?;
        match have.extract_error()? {
            Value::Int(have) if have >= i64::from(self.replicas) => Ok(answer),
            have => Err(unknown(format!(
                "after {REPLICAS_WAIT:?} {have:?} of {} replicas had it",
                self.replicas
            ))),
        }
    }
}

fn unknown(what: String) -> RedisError {
    io::Error::new(io::ErrorKind::TimedOut, what).into()
}

impl<C: ConnectionLike + Send> ConnectionLike for Kept<C> {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(async move {
            if script_key(command).is_none() {
                return self.connection.req_packed_command(command).await;
            }
            let pipeline = self.with_wait(command);
            let answers = self.connection.req_packed_commands(&pipeline, 0, 2).await?;
            self.judge(answers)
        })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        self.connection.req_packed_commands(pipeline, offset, count)
    }

    fn get_db(&self) -> i64 {
        self.connection.get_db()
    }
}

#[cfg(test)]
mod tests {
    use redis::Script;

    use super::*;

    /// Answers as told, and notes what it was sent.
    struct Told {
        answers: Vec<Value>,
        sent: Vec<String>,
    }

    impl Told {
        fn note(&mut self, command: &Cmd) {
            let packed = command.get_packed_command();
            self.sent
                .push(String::from_utf8_lossy(&packed).into_owned());
        }
    }

    impl ConnectionLike for Told {
        fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
            self.note(command);
            Box::pin(async move { Ok(self.answers.remove(0)) })
        }

        fn req_packed_commands<'a>(
            &'a mut self,
            pipeline: &'a Pipeline,
            _: usize,
            count: usize,
        ) -> RedisFuture<'a, Vec<Value>> {
            for command in pipeline.cmd_iter() {
                self.note(command);
            }
            Box::pin(async move { Ok(self.answers.drain(..count).collect()) })
        }

        fn get_db(&self) -> i64 {
            0
        }
    }

    async fn call(answers: &[Value], replicas: u32) -> (RedisResult<i64>, Vec<String>) {
        let told = Told {
            answers: answers.to_vec(),
            sent: Vec::new(),
        };
        let mut kept = Kept::new(told, replicas);
        let script = Script::new("return 1");
        let answer = script.key("{q}k").invoke_async(&mut kept).await;
        (answer, kept.connection.sent)
    }

    #[tokio::test]
    async fn a_call_is_kept_when_enough_replicas_have_it() {
        let (answer, sent) = call(&[Value::Int(7), Value::Int(2)], 2).await;
        assert_eq!(answer.unwrap(), 7);
        assert!(
            sent[0].contains("EVALSHA") && sent[1].contains("WAIT"),
            "{sent:?}"
        );
        let (answer, _) = call(&[Value::Int(7), Value::Int(1)], 2).await;
        assert!(answer.unwrap_err().is_timeout());
    }

    #[test]
    fn the_key_of_a_script_call_is_found() {
        let mut call = redis::cmd("EVALSHA");
        call.arg("hash").arg(1).arg("{q}k").arg("value");
        assert_eq!(script_key(&call), Some(&b"{q}k"[..]));
        let mut load = redis::cmd("SCRIPT");
        load.arg("LOAD").arg("a").arg("b");
        assert_eq!(script_key(&load), None);
    }
}
