//! `lovage kinds`.

use lovage_pipeline::KindEntry;
use serde_json::json;

use crate::args::{Kinds, Output};
use crate::compose;
use crate::exit::Exit;
use crate::view::{out, table};

pub(crate) fn run(args: &Kinds) -> Result<(), Exit> {
    let kinds = compose::kinds();
    if let Output::Json = args.output {
        let listed: Vec<_> = kinds.iter().map(described).collect();
        return out::json(&listed);
    }
    let mut table = table::table(&["KIND", "WHAT IT DOES", "FORMATS", "INPUT TO BEGIN FROM"]);
    for entry in kinds.iter() {
        table.add_row([
            entry.name().to_owned(),
            entry.spec.about.to_owned(),
            formats(entry).join(", "),
            entry.example.to_string(),
        ]);
    }
    out::print(table)
}

fn described(entry: &KindEntry) -> serde_json::Value {
    json!({
        "kind": entry.name(),
        "about": entry.spec.about,
        "formats": formats(entry),
        "example": entry.example,
    })
}

fn formats(entry: &KindEntry) -> Vec<&'static str> {
    let own = entry.renderings.iter().map(|one| one.format);
    ["json"].into_iter().chain(own).collect()
}
