//! `lovage api`: the HTTP interface.

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::{Flag, given};
use crate::args::Api;
use crate::compose;
use crate::config::Settings;
use crate::exit::{self, Exit};
use crate::telemetry;
use crate::view::note;

pub(crate) fn flags(args: &Api) -> Vec<Flag> {
    given([("api.listen", args.listen.clone().map(Into::into))])
}

pub(crate) async fn run(settings: Settings) -> Result<(), Exit> {
    telemetry::init(&settings.log);
    let listener = listen(&settings).await?;
    let store = compose::store(&settings).await?;
    announce(&listener)?;
    let stop = tokio_util::sync::CancellationToken::new();
    let serving = lovage_api::serve(
        listener,
        compose::api(&settings, store),
        stop.clone().cancelled_owned(),
    );
    let serving = tokio::spawn(serving);
    stopped().await?;
    stop.cancel();
    serving
        .await
        .map_err(|error| Exit::because("the API broke", &error))
}

/// Takes the port.
pub(crate) async fn listen(settings: &Settings) -> Result<TcpListener, Exit> {
    let address = settings.api.listen;
    if !address.ip().is_loopback() && !settings.api.insecure {
        let why = "anybody who reaches it could enqueue jobs, and there are no keys yet";
        let what = format!(
            "refusing to listen on {address}: {why}; set api.insecure = true to do it all the same"
        );
        return Err(Exit::new(exit::USAGE, what));
    }
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::AddrInUse => Exit::new(
                exit::ERROR,
                format!(
                    "port {} is taken; choose another with --listen or PORT",
                    address.port()
                ),
            ),
            _ => Exit::because(&format!("cannot listen on {address}"), &error),
        })?;
    Ok(listener)
}

/// Says where the server listens, once it can serve: the line is what scripts wait for.
pub(crate) fn announce(listener: &TcpListener) -> Result<(), Exit> {
    let address = listener.local_addr();
    let address = address.map_err(|error| Exit::because("cannot listen", &error))?;
    note::say(format_args!("listening on http://{address}"));
    Ok(())
}

/// Waits for SIGTERM or Ctrl-C.
pub(crate) async fn stopped() -> Result<(), Exit> {
    let mut terminate = signal(SignalKind::terminate())
        .map_err(|error| Exit::because("cannot listen for SIGTERM", &error))?;
    tokio::select! {
        _ = terminate.recv() => {}
        interrupted = tokio::signal::ctrl_c() => {
            interrupted.map_err(|error| Exit::because("cannot listen for Ctrl-C", &error))?;
        }
    }
    tracing::info!("stopping");
    Ok(())
}
