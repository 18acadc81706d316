//! Which crate may depend on which: the table, and the check that holds `cargo metadata` against it.
//!
//! Dependencies point one way: types <- cores <- store / net <- node <- api <- the command. The cores
//! are *pure*: whatever they reach, directly or through others, does no input or output of its own.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::Value;

use crate::tidy::Problem;

/// One crate of the workspace and what it may use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    /// Its name.
    pub(crate) name: &'static str,
    /// The workspace crates that it may depend on.
    pub(crate) uses: Uses,
    /// Whether it must do no input or output.
    pub(crate) pure: bool,
}

/// What a crate may depend on, among the crates of the workspace.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Uses {
    /// These and no others.
    Only(&'static [&'static str]),
    /// All of them: for crates that measure or exercise the others and that nothing depends on.
    Anything,
}

const fn pure(name: &'static str, uses: &'static [&'static str]) -> Row {
    Row { name, uses: Uses::Only(uses), pure: true }
}

const fn outer(name: &'static str, uses: &'static [&'static str]) -> Row {
    Row { name, uses: Uses::Only(uses), pure: false }
}

/// The table. A new crate gets a row here, and a place in ARCHITECTURE.md.
pub(crate) const EDGES: &[Row] = &[
    pure("covey-types", &[]),
    pure("covey-log", &["covey-types"]),
    pure("covey-records", &["covey-types"]),
    pure("covey-space", &["covey-types", "covey-log"]),
    pure("covey-sync", &["covey-types", "covey-log"]),
    pure("covey-pair", &["covey-types"]),
    pure("covey-chat", &["covey-types", "covey-records"]),
    outer("covey-store", &["covey-types", "covey-records"]),
    outer("covey-engine", &["covey-types", "covey-log", "covey-records", "covey-space", "covey-store"]),
    outer("covey-net", &["covey-types"]),
    outer(
        "covey-node",
        &[
            "covey-types",
            "covey-log",
            "covey-records",
            "covey-space",
            "covey-sync",
            "covey-pair",
            "covey-chat",
            "covey-store",
            "covey-engine",
            "covey-net",
        ],
    ),
    outer("covey-api", &["covey-types", "covey-node"]),
    // The node only for `init`, `up` and `demo`; every other command is a client of the API.
    outer("covey", &["covey-types", "covey-api", "covey-node"]),
    Row { name: "covey-fuzz", uses: Uses::Anything, pure: false },
    Row { name: "covey-sim", uses: Uses::Anything, pure: false },
    outer("covey-lab", &[]),
    Row { name: "covey-bench", uses: Uses::Anything, pure: false },
    outer("xtask", &[]),
];

/// Libraries that do input or output, or drive what does: out of reach for pure crates.
const IMPURE_LIBRARIES: [&str; 5] = ["tokio", "mio", "libp2p", "rusqlite", "libsqlite3-sys"];

/// The row of this crate.
pub(crate) fn row(name: &str) -> Option<&'static Row> {
    EDGES.iter().find(|row| row.name == name)
}

impl Row {
    fn allows(&self, other: &str) -> bool {
        match self.uses {
            Uses::Only(names) => names.contains(&other),
            Uses::Anything => true,
        }
    }

    /// The row as it stands in the table of ARCHITECTURE.md.
    pub(crate) fn markdown(&self) -> String {
        let uses = match self.uses {
            Uses::Only([]) => "none".to_owned(),
            Uses::Only(names) => names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
            Uses::Anything => "any".to_owned(),
        };
        format!("| `{}` | {uses} | {} |", self.name, if self.pure { "yes" } else { "no" })
    }
}

/// One package of the workspace, as `cargo metadata` tells it.
#[derive(Debug)]
pub(crate) struct Package<'a> {
    pub(crate) name: &'a str,
    pub(crate) id: &'a str,
    pub(crate) manifest: &'a str,
    dependencies: Vec<(&'a str, bool)>,
}

/// The packages of the workspace, each with its dependencies and whether they are for tests only.
pub(crate) fn packages(metadata: &Value) -> Vec<Package<'_>> {
    let members: BTreeSet<&str> = strings(&metadata["workspace_members"]).collect();
    list(&metadata["packages"])
        .filter(|package| members.contains(text(&package["id"])))
        .map(|package| Package {
            name: text(&package["name"]),
            id: text(&package["id"]),
            manifest: text(&package["manifest_path"]),
            dependencies: list(&package["dependencies"])
                .map(|dependency| (text(&dependency["name"]), dependency["kind"] == "dev"))
                .collect(),
        })
        .collect()
}

/// Every edge that the table forbids, every crate that has no row in it, and every pure crate from
/// which a library that does input or output can be reached.
pub(crate) fn check(metadata: &Value) -> Vec<Problem> {
    let packages = packages(metadata);
    let names: BTreeSet<&str> = packages.iter().map(|package| package.name).collect();
    let graph = graph(metadata);
    let mut problems = Vec::new();
    for package in &packages {
        let Some(row) = row(package.name) else {
            problems.push(Problem::new(
                "xtask/src/edges.rs",
                format!("{} has no row in the table", package.name),
            ));
            continue;
        };
        let ours = package.dependencies.iter().filter(|(name, _)| names.contains(name));
        problems.extend(ours.filter_map(|&(name, dev)| forbidden(row, name, dev)));
        if row.pure {
            problems.extend(impure_path(&graph, package.id).map(|path| {
                Problem::new(package.name, format!("is pure, but reaches {} through {path}", last(&path)))
            }));
        }
    }
    problems
}

fn forbidden(row: &Row, other: &str, dev: bool) -> Option<Problem> {
    if dev {
        let wrong = row.pure && !self::row(other).is_some_and(|other| other.pure);
        wrong.then(|| Problem::new(row.name, format!("is pure, so its tests may not use {other}")))
    } else {
        (!row.allows(other)).then(|| Problem::new(row.name, format!("may not depend on {other}")))
    }
}

/// Package id -> the ids it needs when it runs (neither tests' nor build scripts' dependencies).
type Graph<'a> = BTreeMap<&'a str, Vec<&'a str>>;

fn graph(metadata: &Value) -> Graph<'_> {
    let at_run_time = |dependency: &Value| list(&dependency["dep_kinds"]).any(|kind| kind["kind"].is_null());
    list(&metadata["resolve"]["nodes"])
        .map(|node| {
            let needs = list(&node["deps"]).filter(|dependency| at_run_time(dependency));
            (text(&node["id"]), needs.map(|dependency| text(&dependency["pkg"])).collect())
        })
        .collect()
}

/// The shortest way from this package to a library that does input or output, if there is one.
fn impure_path(graph: &Graph<'_>, from: &str) -> Option<String> {
    let mut seen = BTreeSet::from([from]);
    let mut queue = VecDeque::from([vec![from]]);
    while let Some(path) = queue.pop_front() {
        for next in graph.get(path.last()?).into_iter().flatten().filter(|next| seen.insert(next)) {
            let longer = [path.as_slice(), &[next]].concat();
            if is_impure(name_in(next)) {
                return Some(longer.iter().map(|id| name_in(id)).collect::<Vec<_>>().join(" -> "));
            }
            queue.push_back(longer);
        }
    }
    None
}

fn is_impure(name: &str) -> bool {
    IMPURE_LIBRARIES.contains(&name) || name.starts_with("libp2p-")
}

fn last(path: &str) -> &str {
    path.rsplit(" -> ").next().unwrap_or(path)
}

/// The name in a package id: `registry+https://...#name@1.0.0`, or `path+file:///.../name#1.0.0`.
fn name_in(id: &str) -> &str {
    let (url, fragment) = id.rsplit_once('#').unwrap_or(("", id));
    match fragment.split_once('@') {
        Some((name, _)) => name,
        None => url.rsplit('/').next().unwrap_or(url),
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn strings(value: &Value) -> impl Iterator<Item = &str> {
    list(value).map(text)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn metadata(name: &str, dependencies: &[(&str, Option<&str>)]) -> Value {
        let id = |name: &str| format!("path+file:///covey/crates/{name}#0.1.0");
        let mut names: BTreeSet<&str> = dependencies.iter().map(|(name, _)| *name).collect();
        names.insert(name);
        let package = |package: &str| {
            let own: Vec<Value> =
                dependencies.iter().map(|(name, kind)| json!({"name": name, "kind": kind})).collect();
            let own = if package == name { own } else { Vec::new() };
            json!({"name": package, "id": id(package), "manifest_path": "", "dependencies": own})
        };
        json!({
            "packages": names.iter().map(|name| package(name)).collect::<Vec<_>>(),
            "workspace_members": names.iter().map(|name| id(name)).collect::<Vec<_>>(),
        })
    }

    fn found(name: &str, dependencies: &[(&str, Option<&str>)]) -> Vec<String> {
        check(&metadata(name, dependencies)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_allowed_edge_passes_and_a_forbidden_one_is_named() {
        assert_eq!(found("covey-sync", &[("covey-log", None), ("covey-types", None)]), [""; 0]);
        assert_eq!(
            found("covey-store", &[("covey-net", None)]),
            ["covey-store: may not depend on covey-net"]
        );
        assert_eq!(
            found("covey-types", &[("covey-log", Some("build"))]),
            ["covey-types: may not depend on covey-log"]
        );
        assert_eq!(found("covey-bench", &[("covey-net", None), ("covey-store", None)]), [""; 0]);
    }

    #[test]
    fn tests_may_use_more_but_those_of_pure_crates_stay_pure() {
        assert_eq!(found("covey-net", &[("covey-store", Some("dev"))]), [""; 0]);
        assert_eq!(found("covey-types", &[("covey-log", Some("dev"))]), [""; 0]);
        assert_eq!(
            found("covey-sync", &[("covey-store", Some("dev"))]),
            ["covey-sync: is pure, so its tests may not use covey-store"]
        );
    }

    #[test]
    fn a_crate_without_a_row_is_named() {
        assert_eq!(found("covey-new", &[]), ["xtask/src/edges.rs: covey-new has no row in the table"]);
    }

    fn resolved(kind: Option<&str>) -> Value {
        let own = "path+file:///covey/crates/covey-log#0.1.0";
        let (middle, far) = ("registry+https://x/index#middle@1.0.0", "registry+https://x/index#tokio@1.0.0");
        json!({
            "packages": [{"name": "covey-log", "id": own, "manifest_path": "", "dependencies": []}],
            "workspace_members": [own],
            "resolve": {"nodes": [
                {"id": own, "deps": [{"pkg": middle, "dep_kinds": [{"kind": kind}]}]},
                {"id": middle, "deps": [{"pkg": far, "dep_kinds": [{"kind": null}]}, {"pkg": own, "dep_kinds": []}]},
            ]},
        })
    }

    #[test]
    fn a_pure_crate_may_not_reach_a_runtime_through_others() {
        let problems = check(&resolved(None));
        assert_eq!(
            problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["covey-log: is pure, but reaches tokio through covey-log -> middle -> tokio"]
        );
        assert!(check(&resolved(Some("dev"))).is_empty());
        assert!(check(&resolved(Some("build"))).is_empty());
    }

    #[test]
    fn the_table_has_each_crate_once_no_cycle_and_no_impure_crate_under_a_pure_one() {
        for (index, row) in EDGES.iter().enumerate() {
            let before: Vec<&Row> = EDGES[..index].iter().collect();
            assert!(before.iter().all(|other| other.name != row.name), "{} twice", row.name);
            let Uses::Only(names) = row.uses else { continue };
            for name in names {
                let used = before.iter().find(|other| other.name == *name);
                assert!(used.is_some_and(|used| used.pure || !row.pure), "{} -> {name}", row.name);
            }
        }
    }

    #[test]
    fn a_row_is_written_as_in_the_document() {
        assert_eq!(row("covey-log").unwrap().markdown(), "| `covey-log` | `covey-types` | yes |");
        assert_eq!(row("covey-types").unwrap().markdown(), "| `covey-types` | none | yes |");
        assert_eq!(row("covey-bench").unwrap().markdown(), "| `covey-bench` | any | no |");
    }
}
