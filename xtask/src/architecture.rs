//! ARCHITECTURE.md names every crate, and its table of edges is the one that is enforced.

use serde_json::Value;

use crate::{edges, edges::EDGES, tidy::Problem, tree::Tree};

const DOCUMENT: &str = "ARCHITECTURE.md";

/// Every crate of the workspace that the document doesn't name, and every row of the enforced table
/// that isn't in the document's, for crates that exist.
pub(crate) fn check(tree: &Tree, metadata: &Value) -> Vec<Problem> {
    let Some(text) = tree.text(DOCUMENT) else {
        return vec![Problem::new(DOCUMENT, "is missing")];
    };
    let packages = edges::packages(metadata);
    let exists = |name: &str| packages.iter().any(|package| package.name == name);
    let unnamed = packages
        .iter()
        .filter(|package| !package.name.is_empty() && !text.contains(&format!("`{}`", package.name)))
        .map(|package| {
            Problem::new(DOCUMENT, format!("does not name `{}` ({})", package.name, package.manifest))
        });
    let rows = EDGES
        .iter()
        .filter(|row| exists(row.name) && !text.lines().any(|line| line.trim() == row.markdown()))
        .map(|row| Problem::new(DOCUMENT, format!("its table of edges lacks the line {}", row.markdown())));
    unnamed.chain(rows).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(document: &str, names: &[&str]) -> Vec<String> {
        let metadata = json!({
            "workspace_members": names,
            "packages": names.iter().map(|name| json!({"name": name, "id": name, "manifest_path": "x"})).collect::<Vec<_>>(),
        });
        check(&Tree::of(&[(DOCUMENT, document)]), &metadata).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_crate_is_named_and_its_edges_are_listed() {
        let row = "| `covey-log` | `covey-types` | yes |";
        assert_eq!(found(row, &["covey-log"]), [""; 0]);
        assert_eq!(
            found("about `covey-log`", &["covey-log"]),
            [format!("{DOCUMENT}: its table of edges lacks the line {row}")]
        );
        assert_eq!(
            found("`covey-log`", &["covey-new"]),
            [format!("{DOCUMENT}: does not name `covey-new` (x)")]
        );
    }

    #[test]
    fn a_name_inside_a_longer_one_is_not_named() {
        assert!(
            found("`covey-log`", &["covey"]).iter().any(|problem| problem.contains("does not name `covey`"))
        );
    }

    #[test]
    fn a_missing_document_is_a_problem() {
        assert_eq!(check(&Tree::default(), &json!({})).len(), 1);
    }
}
