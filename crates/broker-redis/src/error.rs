//! Driver error to [`BrokerError`], by what the caller can do.

use lovage_core::error::BrokerError;
use redis::{ErrorKind, RedisError, ServerErrorKind};

/// What a driver error means for the caller.
pub(crate) fn broker_error(error: RedisError) -> BrokerError {
    match error.kind() {
        // Logins and half an answer are transient too: a server that is being
        // set up or replaced must cost no paid result.
        ErrorKind::Io
        | ErrorKind::Parse
        | ErrorKind::AuthenticationFailed
        | ErrorKind::ClusterConnectionNotFound
        | ErrorKind::Server(
            ServerErrorKind::BusyLoading
            | ServerErrorKind::ClusterDown
            // Slots that move faster than they are followed.
            | ServerErrorKind::Moved
            | ServerErrorKind::Ask
            | ServerErrorKind::NoScript
            | ServerErrorKind::MasterDown
            | ServerErrorKind::TryAgain,
        ) => BrokerError::Unavailable(error.into()),
        ErrorKind::Server(ServerErrorKind::ReadOnly) => BrokerError::ReadOnly(error.into()),
        _ => match code(&error).as_deref() {
            Some("OOM") => BrokerError::Full(error.into()),
            // The server's disk refuses writes, or too few replicas follow.
            Some("MISCONF" | "NOREPLICAS") => BrokerError::ReadOnly(error.into()),
            // Another script holds the server; or it turned into a replica while we waited.
            Some("BUSY" | "NOAUTH" | "NOPERM" | "WRONGPASS" | "UNBLOCKED") => {
                BrokerError::Unavailable(error.into())
            }
            _ => BrokerError::Other(error.into()),
        },
    }
}

/// First word of the server's answer; of a pipeline, of the first refused command.
fn code(error: &RedisError) -> Option<String> {
    let own = error.code().map(str::to_owned);
    own.or_else(|| {
        let refused = error.clone().into_server_errors()?;
        Some(refused.first()?.1.code().to_owned())
    })
}

/// Something stored that does not have the form this program gives it.
pub(crate) fn corrupt(what: impl Into<String>) -> BrokerError {
    BrokerError::Corrupt(what.into())
}

#[cfg(test)]
mod tests {
    use redis::{Value, parse_redis_value};

    use super::*;

    fn answered(line: &str) -> BrokerError {
        let error = match parse_redis_value(format!("-{line}\r\n").as_bytes()) {
            Err(error) => error,
            Ok(Value::ServerError(error)) => error.into(),
            Ok(other) => panic!("not an error: {other:?}"),
        };
        broker_error(error)
    }

    #[test]
    fn every_answer_of_a_server_in_trouble_says_what_to_do() {
        for line in [
            "LOADING x",
            "CLUSTERDOWN x",
            "MASTERDOWN x",
            "BUSY x",
            "NOAUTH x",
            "NOPERM x",
            "WRONGPASS x",
            "UNBLOCKED x",
            "MOVED 1 127.0.0.1:1",
        ] {
            assert!(
                matches!(answered(line), BrokerError::Unavailable(_)),
                "{line}"
            );
        }
        for line in ["READONLY x", "MISCONF x", "NOREPLICAS x"] {
            assert!(matches!(answered(line), BrokerError::ReadOnly(_)), "{line}");
        }
        assert!(matches!(
            answered("OOM command not allowed"),
            BrokerError::Full(_)
        ));
        assert!(matches!(answered("ERR x"), BrokerError::Other(_)));
    }

    #[test]
    fn a_lost_connection_or_a_late_answer_may_be_tried_again() {
        for kind in [
            std::io::ErrorKind::TimedOut,
            std::io::ErrorKind::ConnectionRefused,
            std::io::ErrorKind::BrokenPipe,
        ] {
            let error = RedisError::from(std::io::Error::from(kind));
            assert!(
                matches!(broker_error(error), BrokerError::Unavailable(_)),
                "{kind:?}"
            );
        }
    }
}
