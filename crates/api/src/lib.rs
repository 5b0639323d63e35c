//! The HTTP interface.
//!
//! [`serve`] answers on a listener until it is told to stop; [`openapi_json`]
//! describes what it answers. `error` has the only table of status codes,
//! `request` is around every request, and `routes` has a file per resource.

mod body;
mod config;
mod convert;
mod error;
mod estimate;
mod fields;
mod idempotency;
mod limits;
mod openapi;
mod params;
mod render;
mod request;
mod routes;
mod serve;
mod state;
mod tag;
mod wait;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;
use axum::routing::get;

pub use self::config::ApiConfig;
pub use self::estimate::view as estimate_view;
pub use self::openapi::openapi_json;
pub use self::render::{
    Chosen, FormatSpec, Image, OptionSpec, Render, Rendered, Unshown, choose, show,
};
pub use self::serve::serve;
pub use self::state::State;

use self::error::ApiError;

/// Every route, with the problem documents, ids and bounds around it.
fn router(state: State) -> Router {
    let (routes, mut description) = openapi::routes().split_for_parts();
    openapi::describe_formats(&mut description, &state);
    let description = openapi::to_text(&description);
    let describe = move || {
        let json = [("content-type", "application/json")];
        std::future::ready((json, description.clone()).into_response())
    };
    routes
        .route("/openapi.json", get(describe))
        .fallback(|| async { ApiError::PathUnknown })
        .method_not_allowed_fallback(|| async { ApiError::MethodNotAllowed })
        .layer(DefaultBodyLimit::max(state.config.body_bytes_max))
        .layer(from_fn_with_state(state.clone(), request::handle))
        .with_state(state)
}
