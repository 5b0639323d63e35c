//! What is more than its bound is refused, saying what came and what is taken.

use lovage_core::error::BrokerError;

/// Refuses too many of something.
pub(crate) fn count(what: &'static str, got: usize, max: usize) -> Result<(), BrokerError> {
    if got > max {
        return Err(BrokerError::TooMany { what, got, max });
    }
    Ok(())
}

/// Refuses too many bytes of something.
pub(crate) fn bytes(what: &'static str, got: usize, max: usize) -> Result<(), BrokerError> {
    if got > max {
        return Err(BrokerError::TooLarge { what, got, max });
    }
    Ok(())
}
