//! Questions and answers of DNS as bytes.

use std::time::Duration;

use simple_dns::rdata::{OPT, RData};
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, RCODE, ResourceRecord, TYPE};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    A,
    Aaaa,
    Srv,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Srv => "SRV",
        }
    }

    fn of_dns(self) -> TYPE {
        match self {
            Self::A => TYPE::A,
            Self::Aaaa => TYPE::AAAA,
            Self::Srv => TYPE::SRV,
        }
    }
}

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) data: Vec<Data>,
    /// How long all of it holds.
    pub(crate) ttl: Duration,
}

/// One record of the kind that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Data {
    A(u32),
    Aaaa(u128),
    Srv { priority: u16, weight: u16, port: u16, target: String },
}

/// Why bytes are no answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Bad {
    /// They answer another question, or are no message at all.
    Foreign,
    /// They did not fit.
    Truncated,
    /// The server could not, or would not.
    Said(String),
}

/// A question, to be sent.
pub(super) struct Question<'a> {
    id: u16,
    name: &'a str,
    kind: Kind,
    bytes: Vec<u8>,
}

/// An alias of an alias and so on is followed this far.
const ALIASES: usize = 8;
/// Records of one answer that are looked at: more endpoints than these nobody can use.
const MOST: usize = 1024;
/// The datagram that we take (RFC 6891).
const DATAGRAM: u16 = super::DATAGRAM as u16;

impl<'a> Question<'a> {
    /// # Errors
    ///
    /// It cannot be asked: the name is none.
    pub(super) fn new(id: u16, name: &'a str, kind: Kind) -> Result<Self, String> {
        let asked = Name::new(name).map_err(|error| format!("`{name}` is no name: {error}"))?;
        let mut packet = Packet::new_query(id);
        packet.set_flags(PacketFlag::RECURSION_DESIRED);
        let kind_of = QTYPE::TYPE(kind.of_dns());
        let question = simple_dns::Question::new(asked, kind_of, QCLASS::CLASS(CLASS::IN), false);
        packet.questions.push(question);
        *packet.opt_mut() =
            Some(OPT { opt_codes: Vec::new(), udp_packet_size: DATAGRAM, version: 0 });
        let bytes = packet.build_bytes_vec().map_err(|error| format!("`{name}`: {error}"))?;
        Ok(Self { id, name, kind, bytes })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Reads an answer to it. One that says there is nothing is empty.
    pub(super) fn read(&self, bytes: &[u8]) -> Result<Answer, Bad> {
        let packet = Packet::parse(bytes).map_err(|_| Bad::Foreign)?;
        let [question] = &packet.questions[..] else { return Err(Bad::Foreign) };
        let answers_it = packet.id() == self.id
            && packet.has_flags(PacketFlag::RESPONSE)
            && question.qtype == QTYPE::TYPE(self.kind.of_dns())
            && is_same(&question.qname, self.name);
        if !answers_it {
            return Err(Bad::Foreign);
        }
        if packet.has_flags(PacketFlag::TRUNCATION) {
            return Err(Bad::Truncated);
        }
        match packet.rcode() {
            RCODE::NoError => Ok(self.collect(&packet.answers)),
            RCODE::NameError => Ok(Answer { data: Vec::new(), ttl: Duration::ZERO }),
            other => Err(Bad::Said(format!("{other:?}"))),
        }
    }

    /// The records of the name, or of that which it is an alias of.
    fn collect(&self, records: &[ResourceRecord<'_>]) -> Answer {
        let records = &records[..records.len().min(MOST)];
        let (mut owner, mut ttl) = (self.name.to_owned(), u32::MAX);
        for _ in 0..ALIASES {
            let alias = records.iter().find_map(|record| match &record.rdata {
                RData::CNAME(target) if is_same(&record.name, &owner) => {
                    Some((target.0.to_string(), record.ttl))
                }
                _ => None,
            });
            let Some((target, holds)) = alias else { break };
            owner = target;
            ttl = ttl.min(holds);
        }
        let own = records.iter().filter(|record| is_same(&record.name, &owner));
        let mut data = Vec::new();
        for record in own {
            if let Some(found) = self.data(&record.rdata) {
                data.push(found);
                ttl = ttl.min(record.ttl);
            }
        }
        Answer { data, ttl: Duration::from_secs(ttl.into()) }
    }

    fn data(&self, data: &RData<'_>) -> Option<Data> {
        match (self.kind, data) {
            (Kind::A, RData::A(a)) => Some(Data::A(a.address)),
            (Kind::Aaaa, RData::AAAA(aaaa)) => Some(Data::Aaaa(aaaa.address)),
            (Kind::Srv, RData::SRV(srv)) => Some(Data::Srv {
                priority: srv.priority,
                weight: srv.weight,
                port: srv.port,
                target: srv.target.to_string(),
            }),
            _ => None,
        }
    }
}

/// RFC 4343: case does not matter.
fn is_same(name: &Name<'_>, text: &str) -> bool {
    name.to_string().trim_end_matches('.').eq_ignore_ascii_case(text.trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use simple_dns::rdata::{A, CNAME, SRV};

    use super::*;

    fn reply(records: Vec<ResourceRecord<'static>>) -> Packet<'static> {
        let mut packet = Packet::new_reply(7);
        let name = Name::new("Users.internal").unwrap();
        packet.questions.push(simple_dns::Question::new(
            name,
            QTYPE::TYPE(TYPE::A),
            QCLASS::CLASS(CLASS::IN),
            false,
        ));
        packet.answers = records;
        packet
    }

    fn a(name: &'static str, ttl: u32, address: u32) -> ResourceRecord<'static> {
        let data = RData::A(A { address });
        ResourceRecord::new(Name::new(name).unwrap(), CLASS::IN, ttl, data)
    }

    fn read(packet: &Packet<'_>) -> Result<Answer, Bad> {
        let question = Question::new(7, "users.internal", Kind::A).unwrap();
        question.read(&packet.build_bytes_vec().unwrap())
    }

    #[test]
    fn a_question_is_what_it_says() {
        let question = Question::new(0x1234, "users.internal", Kind::Srv).unwrap();
        let expected = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\x01\x05users\x08internal\0\0\x21\0\x01\
            \0\0\x29\x04\xd0\0\0\0\0\0\0";
        assert_eq!(question.bytes(), expected);
        assert!(Question::new(1, &"a".repeat(64), Kind::A).is_err());
    }

    #[test]
    fn records_of_the_name_are_collected_and_the_shortest_ttl_counts() {
        let packet = reply(vec![
            a("users.INTERNAL", 60, 1),
            a("users.internal", 30, 2),
            a("other.internal", 5, 3),
        ]);
        let expected = Answer { data: vec![Data::A(1), Data::A(2)], ttl: Duration::from_secs(30) };
        assert_eq!(read(&packet), Ok(expected));
    }

    #[test]
    fn aliases_are_followed_and_not_in_circles() {
        let alias = |from, to| {
            let data = RData::CNAME(CNAME(Name::new(to).unwrap()));
            ResourceRecord::new(Name::new(from).unwrap(), CLASS::IN, 9, data)
        };
        let packet = reply(vec![alias("users.internal", "b"), alias("b", "c"), a("c", 30, 2)]);
        let expected = Answer { data: vec![Data::A(2)], ttl: Duration::from_secs(9) };
        assert_eq!(read(&packet), Ok(expected));
        let circle = reply(vec![alias("users.internal", "b"), alias("b", "users.internal")]);
        assert_eq!(read(&circle).unwrap().data, []);
    }

    #[test]
    fn an_answer_to_another_question_is_none() {
        let good = reply(vec![a("users.internal", 60, 1)]);
        let mut other_id = good.clone();
        other_id.set_id(8);
        let mut other_name = good.clone();
        other_name.questions[0].qname = Name::new("users.external").unwrap();
        let mut query = Packet::new_query(7);
        query.questions = good.questions.clone();
        for foreign in [other_id, other_name, query] {
            assert_eq!(read(&foreign), Err(Bad::Foreign));
        }
    }

    #[test]
    fn what_the_server_says_is_heard() {
        let mut packet = reply(Vec::new());
        *packet.rcode_mut() = RCODE::NameError;
        assert_eq!(read(&packet).unwrap().data, []);
        *packet.rcode_mut() = RCODE::ServerFailure;
        assert_eq!(read(&packet), Err(Bad::Said("ServerFailure".to_owned())));
        packet.set_flags(PacketFlag::TRUNCATION);
        assert_eq!(read(&packet), Err(Bad::Truncated));
    }

    /// Every answer cut anywhere, and with every byte changed: nothing panics.
    #[test]
    fn bytes_from_anybody_are_read() {
        let target = Name::new("a.users.internal").unwrap();
        let srv = RData::SRV(SRV { priority: 1, weight: 2, port: 3, target });
        let srv = ResourceRecord::new(Name::new("users.internal").unwrap(), CLASS::IN, 9, srv);
        let packet = reply(vec![a("users.internal", 60, 1), srv]);
        let question = Question::new(7, "users.internal", Kind::Srv).unwrap();
        let whole = packet.build_bytes_vec_compressed().unwrap();
        for at in 0..whole.len() {
            let _ = question.read(&whole[..at]);
            for byte in 0..=255 {
                let mut changed = whole.clone();
                changed[at] = byte;
                let _ = question.read(&changed);
            }
        }
    }
}
