//! `covey record status`.

use covey_api::dto::{DeviceName, RecordSyncDto};

use crate::{
    args::Place,
    client::Client,
    commands::{record::place_path, status::short},
    diag::Failure,
    output::{Out, visible},
    words::count,
};

pub(super) async fn run(client: &Client, place: &Place, id: &str, out: &Out) -> Result<(), Failure> {
    let sync: RecordSyncDto = client.get(&place_path(place, &["records", id, "sync"])).await?;
    if out.is_json() { out.document(&sync) } else { out.line(&sentence(&sync)) }
}

/// On which devices a record is, in words.
fn sentence(sync: &RecordSyncDto) -> String {
    let all = count((sync.synced_to.len() + sync.missing.len()) as u64, "other device", "other devices");
    match (sync.synced_to.len(), sync.missing.len()) {
        (0, 0) => "Pending: no other device is in the space.".to_owned(),
        (0, _) => format!("Pending: none of {all} is known to have it.\nNot on {}.", names(&sync.missing)),
        (_, 0) => format!("Synced to {all}: {}.", names(&sync.synced_to)),
        (some, _) => {
            format!(
                "Synced to {some} of {all}: {}.\nNot on {}.",
                names(&sync.synced_to),
                names(&sync.missing)
            )
        }
    }
}

fn names(devices: &[DeviceName]) -> String {
    let name = |device: &DeviceName| {
        device.name.as_deref().map_or_else(|| short(&device.peer_id), |name| visible(name).into_owned())
    };
    devices.iter().map(name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_tells_where_a_record_is_and_where_not() {
        let device =
            |name: &str| DeviceName { peer_id: "12D3KooWabcdefghijkl".into(), name: Some(name.into()) };
        let say = |on: &[&str], not_on: &[&str]| {
            sentence(&RecordSyncDto {
                id: "x".into(),
                pending: on.is_empty(),
                synced_to: on.iter().map(|name| device(name)).collect(),
                missing: not_on.iter().map(|name| device(name)).collect(),
            })
        };
        assert_eq!(say(&[], &[]), "Pending: no other device is in the space.");
        assert_eq!(
            say(&[], &["phone", "desk"]),
            "Pending: none of 2 other devices is known to have it.\nNot on phone, desk."
        );
        assert_eq!(say(&["phone"], &["desk"]), "Synced to 1 of 2 other devices: phone.\nNot on desk.");
        assert_eq!(say(&["a", "b"], &[]), "Synced to 2 other devices: a, b.");
    }
}
