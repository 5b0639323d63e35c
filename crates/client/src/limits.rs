//! Calls about limits of providers.

use crate::error::ClientError;
use crate::http::{CALL, Client, read};
use crate::wire::{LimitList, LimitView, ProviderLimits};

impl Client {
    /// Every account with a provider and model that a worker has asked for.
    ///
    /// # Errors
    /// When the server cannot be reached or fails.
    pub async fn limits(&self) -> Result<LimitList, ClientError> {
        let call = self.http.get(self.url(&["v1", "limits"]));
        read(call.timeout(CALL)).await
    }

    /// Sets limits that go before those of the workers' settings, in place of
    /// those that were set before.
    ///
    /// # Errors
    /// [`ClientError::Problem`] with status 404 for a name that no worker has
    /// asked for, 422 for a limit beyond its bounds.
    pub async fn set_limits(
        &self,
        name: &str,
        limits: &ProviderLimits,
    ) -> Result<LimitView, ClientError> {
        let call = self.http.put(self.url(&["v1", "limits", name]));
        read(call.json(limits).timeout(CALL)).await
    }
}
