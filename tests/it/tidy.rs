//! What is true of the source itself: who may import whom, who owns which
//! library, and the habits that keep it readable.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};
use lovage_core::invariant;
use lovage_tests::conformance;

/// Which of our crates each of them may import. `crates/README.md` says why.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("lovage-core", &[]),
    ("lovage-workflow", &["lovage-core"]),
    ("lovage-pipeline", &["lovage-workflow"]),
    ("lovage-broker-redis", &["lovage-core"]),
    ("lovage-broker-sqlite", &["lovage-core"]),
    ("lovage-celery", &["lovage-core"]),
    ("lovage-worker", &["lovage-core", "lovage-workflow"]),
    ("lovage-api", &["lovage-core", "lovage-client"]),
    ("lovage-client", &[]),
    (
        "lovage",
        &[
            "lovage-api",
            "lovage-broker-redis",
            "lovage-broker-sqlite",
            "lovage-celery",
            "lovage-client",
            "lovage-core",
            "lovage-pipeline",
            "lovage-worker",
            "lovage-workflow",
        ],
    ),
    ("lovage-tests", &["lovage-core"]),
];

/// Libraries that belong to some of our crates, and to no other.
const OWNERS: &[(&str, &[&str])] = &[
    ("apalis", &["lovage-worker"]),
    ("apalis-core", &["lovage-worker"]),
    ("redis", &["lovage-broker-redis", "lovage-celery"]),
    ("rusqlite", &["lovage-broker-sqlite"]),
    ("axum", &["lovage-api", "lovage-tests"]),
    ("hyper", &["lovage-api"]),
    ("utoipa", &["lovage-api", "lovage-client"]),
    ("reqwest", &["lovage-client", "lovage-pipeline"]),
    ("clap", &["lovage"]),
    ("clap_complete", &["lovage"]),
    ("indicatif", &["lovage"]),
];

/// Libraries that a crate must never import, though nobody owns them.
const NEVER: &[(&str, &[&str])] = &[("lovage-core", &["tokio", "async-std", "tracing-subscriber"])];

/// Lines of the longest function of the program.
const FUNCTION_LINES_MAX: usize = 80;
/// Names that say nothing.
const EMPTY_NAMES: [&str; 7] = [
    "util", "utils", "common", "helper", "helpers", "manager", "misc",
];

fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap().to_owned()
}

fn metadata() -> Metadata {
    let manifest = root().join("Cargo.toml");
    MetadataCommand::new()
        .manifest_path(manifest)
        .no_deps()
        .exec()
        .unwrap()
}

/// What a crate needs to be built and run, its tests left aside.
fn imports(package: &Package) -> BTreeSet<&str> {
    let shipped = package.dependencies.iter();
    let shipped = shipped.filter(|one| one.kind != DependencyKind::Development);
    shipped.map(|one| one.name.as_str()).collect()
}

/// Every file below `folder` with one of these endings.
fn files(folder: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let ending = path.extension().and_then(|ending| ending.to_str());
            if path.is_dir() {
                folders.push(path);
            } else if ending.is_some_and(|ending| endings.contains(&ending)) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Every file of `crates` and `tests` with one of these endings, and its text.
fn sources(endings: &[&str]) -> Vec<(PathBuf, String)> {
    let root = root();
    let folders = ["crates", "tests"].map(|folder| root.join(folder));
    let all = folders.iter().flat_map(|folder| files(folder, endings));
    all.map(|path| {
        let text = std::fs::read_to_string(&path).unwrap();
        (path.strip_prefix(&root).unwrap().to_owned(), text)
    })
    .collect()
}

/// Fails with one line for each thing that is wrong.
#[track_caller]
fn assert_none(wrong: Vec<String>) {
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn our_crates_import_only_what_the_table_allows() {
    let table: BTreeMap<_, _> = MAY_IMPORT.iter().copied().collect();
    let metadata = metadata();
    let packages = metadata.workspace_packages();
    let ours: BTreeSet<&str> = packages
        .iter()
        .map(|package| package.name.as_str())
        .collect();
    let listed: BTreeSet<&str> = table.keys().copied().collect();
    assert_eq!(ours, listed, "each of our crates has one row");
    let mut wrong = Vec::new();
    for package in &packages {
        let (name, imports) = (package.name.as_str(), imports(package));
        let unlisted = imports
            .intersection(&ours)
            .filter(|one| !table[name].contains(one));
        wrong.extend(unlisted.map(|one| format!("{name} must not import {one}")));
        let unused = table[name].iter().filter(|one| !imports.contains(**one));
        wrong.extend(
            unused.map(|one| format!("{name} does not import {one}: take it from its row")),
        );
    }
    assert_none(wrong);
}

#[test]
fn libraries_stay_with_their_owners() {
    let metadata = metadata();
    let mut wrong = Vec::new();
    for package in metadata.workspace_packages() {
        let (name, imports) = (package.name.as_str(), imports(package));
        for (library, owners) in OWNERS {
            if imports.contains(library) && !owners.contains(&name) {
                wrong.push(format!("{library} belongs to {owners:?}, not {name}"));
            }
        }
        let never = NEVER
            .iter()
            .filter(|(of, _)| *of == name)
            .flat_map(|(_, never)| *never);
        let never = never.filter(|library| imports.contains(**library));
        wrong.extend(never.map(|library| format!("{name} must never import {library}")));
    }
    assert_none(wrong);
}

#[test]
fn apalis_is_named_in_two_files_of_the_worker() {
    let mut naming = Vec::new();
    for (path, text) in sources(&["rs"]) {
        let code = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        let named = code.filter(|line| line.contains("apalis::") || line.contains("apalis_core"));
        // This file names it as text.
        if named.count() > 0 && !path.ends_with("it/tidy.rs") {
            naming.push(path.to_str().unwrap().to_owned());
        }
    }
    assert_eq!(
        naming,
        ["crates/worker/src/host.rs", "crates/worker/src/layers.rs"]
    );
}

#[test]
fn the_pipeline_reaches_the_network_by_two_doors() {
    /// The guarded one to pages and images, the model's to its provider.
    const DOORS: [&str; 2] = ["crates/pipeline/src/net/", "crates/pipeline/src/llm/"];
    let opening = [
        "reqwest",
        "hyper",
        "tokio::net",
        "std::net::Tcp",
        "std::net::Udp",
        "TcpStream",
        "UdpSocket",
        "lookup_host",
        "ToSocketAddrs",
        "std::process",
        "tokio::process",
    ];
    let mut doors = BTreeSet::new();
    let mut wrong = Vec::new();
    for (path, text) in sources(&["rs"]) {
        let path = path.to_str().unwrap();
        if !path.starts_with("crates/pipeline/src/") {
            continue;
        }
        let code = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        for line in code.filter(|line| opening.iter().any(|way| line.contains(way))) {
            match DOORS.iter().find(|door| path.starts_with(*door)) {
                Some(door) => drop(doors.insert(*door)),
                None => wrong.push(format!("{path}: {}: fetch by a Fetch", line.trim())),
            }
        }
    }
    assert_none(wrong);
    assert_eq!(doors.len(), DOORS.len(), "both are found");
}

#[test]
fn the_time_is_read_by_the_clock_or_with_a_stated_reason() {
    /// Lines between a reason and the reading it excuses.
    const NEAR: usize = 8;
    let readings = ["SystemTime::now(", "Timestamp::now(", "Zoned::now("];
    let mut wrong = Vec::new();
    for (path, text) in sources(&["rs"]) {
        let lines: Vec<&str> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let reads = readings.iter().any(|reading| line.contains(reading));
            let before = &lines[at.saturating_sub(NEAR)..at];
            let excused = before
                .iter()
                .any(|line| line.contains("clippy::disallowed_methods"));
            if reads && !excused && !path.ends_with("it/tidy.rs") {
                wrong.push(format!("{}:{}: take a Clock", path.display(), at + 1));
            }
        }
    }
    assert_none(wrong);
}

#[test]
fn every_script_and_statement_begins_with_what_it_is() {
    let scripts = sources(&["lua", "sql"]);
    assert!(scripts.len() > 10, "the scripts are found");
    let bare = scripts.iter().filter(|(_, text)| !text.starts_with("-- "));
    assert_none(
        bare.map(|(path, _)| format!("{}: no comment first", path.display()))
            .collect(),
    );
}

#[test]
fn no_function_of_the_program_is_longer_than_it_may_be() {
    let mut wrong = Vec::new();
    for (path, text) in sources(&["rs"]) {
        // Tables of test cases are long and plain.
        if !path.components().any(|part| part.as_os_str() == "src") {
            continue;
        }
        for (name, lines) in functions(&text) {
            if lines > FUNCTION_LINES_MAX {
                wrong.push(format!("{}: {name} has {lines} lines", path.display()));
            }
        }
    }
    assert_none(wrong);
}

/// Name and length of every function, by rustfmt's indentation.
fn functions(text: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let indent = &line[..line.len() - line.trim_start().len()];
        let Some(name) = function_name(line.trim_start()) else {
            continue;
        };
        let (end, declared) = (format!("{indent}}}"), format!("{indent});"));
        let length = lines[at..]
            .iter()
            .position(|line| *line == end || *line == declared);
        let one_line = line.ends_with('}') || line.ends_with(';');
        let length = if one_line {
            1
        } else {
            length.map_or(1, |length| length + 1)
        };
        found.push((name.to_owned(), length));
    }
    found
}

fn function_name(line: &str) -> Option<&str> {
    let (before, after) = line.split_once("fn ")?;
    let known = ["pub", "pub(crate)", "pub(super)", "const", "async"];
    let plain = before.split_whitespace().all(|word| known.contains(&word));
    let name = after
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .next();
    name.filter(|name| plain && !name.is_empty())
}

#[test]
fn the_length_of_a_function_is_counted_from_its_name_to_its_brace() {
    let text = "fn one() {}\n\nimpl A {\n    pub(crate) async fn two(\n        &self,\n    ) {\n        three();\n    }\n}\n";
    let expected = [("one".to_owned(), 1), ("two".to_owned(), 5)];
    assert_eq!(functions(text), expected);
}

#[test]
fn file_names_say_what_is_inside() {
    let mut wrong = Vec::new();
    for (path, _) in sources(&["rs", "lua", "sql"]) {
        let stem = |part: std::path::Component<'_>| {
            let part = Path::new(part.as_os_str());
            part.file_stem().unwrap().to_str().unwrap().to_owned()
        };
        let parts = path.components().map(stem);
        let words = parts.flat_map(|part| {
            part.split(['_', '-'])
                .map(str::to_owned)
                .collect::<Vec<_>>()
        });
        if words
            .into_iter()
            .any(|word| EMPTY_NAMES.contains(&word.as_str()))
        {
            wrong.push(path.display().to_string());
        }
    }
    assert_none(wrong);
}

#[test]
fn every_promise_has_a_conformance_case() {
    let kept: BTreeSet<&str> = conformance::CASES
        .iter()
        .map(|case| case.invariant)
        .collect();
    let open = invariant::ALL
        .iter()
        .filter(|promise| !kept.contains(promise.id));
    assert_none(
        open.map(|promise| format!("{}: {}", promise.id, promise.promise))
            .collect(),
    );
}

/// The lines of the workspace manifest that declare other people's libraries, by name.
fn libraries() -> Vec<(String, String)> {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let (_, rest) = manifest.split_once("[workspace.dependencies]\n").unwrap();
    let section = rest.split("\n[").next().unwrap();
    let lines = section
        .lines()
        .filter(|line| !line.starts_with('#') && !line.contains("path = "));
    let named =
        lines.filter_map(|line| Some((line.split_once(" = ")?.0.to_owned(), line.to_owned())));
    named.collect()
}

#[test]
fn every_library_says_what_it_saves_us_and_is_used() {
    let manifests = sources(&["toml"]);
    let mut wrong = Vec::new();
    for (name, line) in libraries() {
        let reason = line.rsplit_once("# ").map_or("", |(_, reason)| reason);
        if reason.len() < 10 {
            wrong.push(format!("{name}: no reason"));
        }
        let uses = [
            format!("\n{name}.workspace = true"),
            format!("\n{name} = {{ workspace = true"),
        ];
        let used = manifests
            .iter()
            .any(|(_, text)| uses.iter().any(|one| text.contains(one)));
        if !used {
            wrong.push(format!("{name}: nobody uses it"));
        }
    }
    assert_none(wrong);
}

#[test]
fn every_dependency_of_a_crate_is_used_by_it() {
    let mut wrong = Vec::new();
    for package in &metadata().packages {
        let folder = package.manifest_path.parent().unwrap().as_std_path();
        let code: String = files(folder, &["rs"])
            .iter()
            .map(|path| std::fs::read_to_string(path).unwrap())
            .collect();
        for dependency in &package.dependencies {
            let name = dependency.name.replace('-', "_");
            let used = code
                .match_indices(&name)
                .any(|(at, _)| is_whole_word(&code, at, name.len()));
            if !used {
                wrong.push(format!("{}: {}", package.name, dependency.name));
            }
        }
    }
    assert_none(wrong);
}

fn is_whole_word(text: &str, at: usize, length: usize) -> bool {
    let inner = |c: char| c.is_alphanumeric() || c == '_';
    !text[..at].ends_with(inner) && !text[at + length..].starts_with(inner)
}

#[test]
fn the_architecture_page_lists_every_promise() {
    let page = include_str!("../../crates/README.md");
    let missing = invariant::ALL
        .iter()
        .map(|one| format!("| {} | {} |", one.id, one.promise))
        .filter(|row| !page.contains(row));
    assert_none(missing.collect());
}

#[test]
fn versions_live_in_one_place() {
    let mut wrong = Vec::new();
    for (path, text) in sources(&["toml"]) {
        let version = |line: &&str| {
            let value = line.split_once(" = ").map_or("", |(_, value)| value);
            value.contains("version = \"")
                || value.starts_with('"') && value.as_bytes().get(1).is_some_and(u8::is_ascii_digit)
        };
        let own = text.lines().filter(version);
        wrong.extend(own.map(|line| format!("{}: {line}", path.display())));
    }
    assert_none(wrong);
}
