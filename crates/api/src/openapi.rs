//! The description of the interface, made from its routes and types.

use lovage_client::wire::{EstimateView, NoResult, StepEstimateView};
use std::collections::{BTreeMap, BTreeSet};

use utoipa::OpenApi;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{
    InfoBuilder, LicenseBuilder, OpenApi as Description, OpenApiBuilder, RefOr, Required,
};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::render::OptionSpec;
use crate::routes::{
    batches, checkpoints, children, events, health, images, jobs, limits, metrics, queues, result,
    signals,
};
use crate::state::State;

const ABOUT: &str = "A queue of long jobs: enqueue, poll or follow, fetch the result.\n\n\
    Errors are `application/problem+json` (RFC 9457) with a stable `code`, the `request_id`, and `errors[]` \
    with a JSON Pointer or a parameter name each. Every answer has `X-Request-Id`. Ids are UUIDs, times RFC 3339 in UTC. \
    A field or query parameter is honoured or refused, never dropped. \
    A change that a browser asks for on behalf of another site's page is answered `403`. \
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

/// Names the formats that the kinds of `state` have, and the parameters they take.
pub(crate) fn describe_formats(description: &mut Description, state: &State) {
    let path = description.paths.paths.get_mut(result::PATH);
    let operation = path.and_then(|path| path.get.as_mut());
    let Some(parameters) = operation.and_then(|operation| operation.parameters.as_mut()) else {
        return;
    };
    let mut kinds = String::new();
    let mut options: BTreeMap<&str, (OptionSpec, BTreeSet<&str>)> = BTreeMap::new();
    for kind in state.catalog.kinds() {
        let formats = state.renderer.formats(kind.kind.as_str());
        let names: Vec<_> = formats.iter().map(|spec| spec.name).collect();
        if !names.is_empty() {
            kinds.push_str(&format!("; `{}`: `{}`", kind.kind, names.join("`, `")));
        }
        for spec in &formats {
            for option in &spec.options {
                let (_, takers) = options.entry(option.name).or_insert((*option, [].into()));
                takers.insert(spec.name);
            }
        }
    }
    for parameter in parameters.iter_mut() {
        if let RefOr::T(format) = parameter
            && format.name == "format"
        {
            format.description.get_or_insert_default().push_str(&kinds);
        }
    }
    let described = options
        .into_values()
        .map(|(option, takers)| parameter(&option, &takers));
    parameters.extend(described.map(RefOr::T));
}

fn parameter(option: &OptionSpec, takers: &BTreeSet<&str>) -> Parameter {
    let takers: Vec<_> = takers.iter().copied().collect();
    let (takers, default) = (takers.join("` or `"), option.values[0]);
    let schema = ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(option.values.iter().copied()));
    ParameterBuilder::new()
        .name(option.name)
        .parameter_in(ParameterIn::Query)
        .required(Required::False)
        .description(Some(format!(
            "With `format={takers}` or `all`; `{default}` unless given"
        )))
        .schema(Some(schema))
        .build()
}

/// Every described route.
pub(crate) fn routes() -> OpenApiRouter<State> {
    /// Shapes that only a description refers to.
    #[derive(OpenApi)]
    #[openapi(components(schemas(NoResult, EstimateView, StepEstimateView)))]
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
        .routes(routes!(limits::list))
        .routes(routes!(limits::set))
        .routes(routes!(health::alive))
        .routes(routes!(health::ready))
        .routes(routes!(metrics::get))
}
