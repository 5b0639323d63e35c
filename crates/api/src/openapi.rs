//! The description of the interface, made from its routes and types.

use utoipa::OpenApi;
use utoipa::openapi::{InfoBuilder, LicenseBuilder, OpenApi as Description, OpenApiBuilder};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::routes::{
    batches, checkpoints, children, events, health, images, jobs, queues, result, signals,
};
use crate::state::State;

const ABOUT: &str = "A queue of long jobs: enqueue, poll or follow, fetch the result.\n\n\
    Errors are `application/problem+json` (RFC 9457) with a stable `code`, the `request_id`, and `errors[]` \
    with a JSON Pointer or a parameter name each. Every answer has `X-Request-Id`. Ids are UUIDs, times RFC 3339 in UTC. \
    A field or query parameter is honoured or refused, never dropped. \
    Any call may be answered `503` with `Retry-After` while the store cannot be reached or the server drains.";

/// The OpenAPI document as it is served at `/openapi.json`.
pub fn openapi_json() -> String {
    to_text(&routes().into_openapi())
}

/// The document as text.
pub(crate) fn to_text(description: &Description) -> String {
    let text = description.to_pretty_json();
    text.expect("the description has a JSON form") + "\n"
}

/// Every described route.
pub(crate) fn routes() -> OpenApiRouter<State> {
    /// Shapes that only a description refers to.
    #[derive(OpenApi)]
    #[openapi(components(schemas(lovage_client::wire::NoResult)))]
    struct Shapes;

    let license = LicenseBuilder::new()
        .name(env!("CARGO_PKG_LICENSE"))
        .build();
    let info = InfoBuilder::new()
        .title("Lovage")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(ABOUT))
        .license(Some(license));
    let mut description = OpenApiBuilder::new().info(info.build()).build();
    description.merge(Shapes::openapi());
    OpenApiRouter::with_openapi(description)
        .routes(routes!(jobs::enqueue, jobs::list))
        .routes(routes!(batches::enqueue))
        .routes(routes!(jobs::get))
        .routes(routes!(result::get))
        .routes(routes!(events::get))
        .routes(routes!(checkpoints::list))
        .routes(routes!(images::get))
        .routes(routes!(children::list))
        .routes(routes!(signals::give))
        .routes(routes!(jobs::cancel))
        .routes(routes!(jobs::retry))
        .routes(routes!(queues::list))
        .routes(routes!(queues::pause))
        .routes(routes!(queues::resume))
        .routes(routes!(queues::limit))
        .routes(routes!(health::alive))
        .routes(routes!(health::ready))
}
