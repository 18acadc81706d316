//! Backups and answers of multicast DNS.

use std::net::Ipv4Addr;

use hickory_proto::{
    op::{Message, MessageType, OpCode},
    rr::{
        Name, RData, Record,
        rdata::{A, PTR, SRV, TXT},
    },
};

use super::{Seeds, named};
use crate::{fixtures, people::ACTORS};

/// The first bytes of the fixture and its seal, which is made to fit a file without a database between.
pub(super) fn backups() -> Seeds {
    let Ok(file) = std::fs::read(fixtures::folder().join(fixtures::BACKUP)) else { return Vec::new() };
    let (head, seal) = (&file[..16], &file[file.len() - 128..]);
    let mut fitting = [head, seal].concat();
    fitting[16 + 48..16 + 56].copy_from_slice(&16u64.to_le_bytes());
    vec![named("fitting", fitting), named("cut-off", [head, seal].concat()), named("head", head)]
}

/// What a node answers to a look around.
pub(super) fn answers() -> Seeds {
    let answer = || -> Result<Vec<u8>, hickory_proto::ProtoError> {
        let id = ACTORS[0].id().to_string();
        let service = Name::from_ascii("_covey._udp.local.")?;
        let instance = Name::from_ascii(format!("{id}._covey._udp.local."))?;
        let host = Name::from_ascii("covey-a.local.")?;
        let txt = ["v=1".to_owned(), format!("id={id}"), "g=3".into(), "n=2".into(), "t=4001".into()];
        let mut message = Message::new(0, MessageType::Response, OpCode::Query);
        let records = [
            (service, RData::PTR(PTR(instance.clone()))),
            (instance.clone(), RData::SRV(SRV::new(0, 0, 4001, host.clone()))),
            (instance, RData::TXT(TXT::new(txt.into()))),
            (host, RData::A(A(Ipv4Addr::new(192, 168, 1, 20)))),
        ];
        for (name, data) in records {
            message.add_answer(Record::from_rdata(name, 120, data));
        }
        message.to_vec()
    };
    vec![named("answer", answer().expect("the names are good"))]
}
