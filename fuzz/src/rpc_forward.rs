//! Calls that are passed on by who does not know their types.

use locum_wire::gob::{Described, Encoder, Raw, Type, TypeId, Typed, Types};
use locum_wire::rpc::{
    Answer, Answers, Body, Call, CallHead, CallId, Calls, EncodeError, Form, Limits, Metadata,
    Protocol, Replies, Request, Requests,
};

/// What any client sends can be passed on to any server, as its argument and as what it returns, or is refused
/// without a trace; what was passed on is one call that means the same. JSON made of gob, and gob of that again
/// by its type, is the same JSON from then on.
pub fn rpc_forward(bytes: &[u8]) {
    for from in PROTOCOLS {
        for limits in [LIMITS, Limits { types: 3, nesting: 4, ..LIMITS }] {
            let mut ways = PROTOCOLS.map(|to| Way::new(to, &limits));
            each(from, bytes, |args| {
                ways.iter_mut().for_each(|way| way.pass(args));
                json(args);
            });
        }
    }
}

const PROTOCOLS: [Protocol; 4] =
    [Protocol::Gob, Protocol::Json1, Protocol::Json2, Protocol::Native];

fn each(from: Protocol, bytes: &[u8], mut what: impl FnMut(&Body<'_>)) {
    let mut requests = Requests::new(from, &LIMITS);
    let mut at = 0;
    loop {
        match requests.next(&bytes[at..], &mut at) {
            Ok(Some(Request::Call(Call { args, .. }))) => what(&args),
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => return,
        }
    }
}

/// A connection to a server, and one to a client.
struct Way {
    to: Protocol,
    limits: Limits,
    calls: Calls,
    requests: Requests,
    replies: Replies,
    answers: Answers,
    passed: u64,
}

impl Way {
    fn new(to: Protocol, limits: &Limits) -> Self {
        Self {
            to,
            limits: *limits,
            calls: Calls::new(to),
            requests: Requests::new(to, limits),
            replies: Replies::new(to),
            answers: Answers::new(to, limits),
            passed: 0,
        }
    }

    fn pass(&mut self, body: &Body<'_>) {
        self.passed += 1;
        let head = CallHead {
            id: self.passed,
            method: METHOD,
            timeout: None,
            attempt: 1,
            trace: None,
            metadata: Metadata::default(),
            streams: false,
        };
        let mut out = Vec::new();
        let written = self.calls.forward(&mut out, &head, body, None, &self.limits);
        if whole(&written, &out) {
            let mut taken = 0;
            match self.requests.next(&out, &mut taken) {
                Ok(Some(Request::Call(Call { method: METHOD, args, .. }))) => same(body, &args),
                // What nobody looked at on the way may be malformed, or of too many types.
                other => panic!("{:?}: {other:?}", self.to),
            }
            assert!(matches!(out[taken..], [] | [b'\n']), "it is one call");
        }

        let raw = Some(self.passed.to_string().into());
        let id = match (self.to, body.form) {
            (Protocol::Gob, _) | (_, Form::Postcard) => CallId::Number(self.passed),
            (Protocol::Native, _) => CallId::NumberInJson(self.passed),
            (protocol, _) => CallId::Json { protocol, raw, batched: None },
        };
        let mut out = Vec::new();
        let written = self.replies.forward(&mut out, &id, METHOD, body, None, &self.limits);
        if whole(&written, &out) {
            let mut taken = 0;
            match self.answers.next(&out, &mut taken) {
                Ok(Some(Answer::Reply { id, body: reply })) => {
                    assert_eq!(id, self.passed);
                    same(body, &reply);
                }
                other => panic!("{:?}: {other:?}", self.to),
            }
            assert!(matches!(out[taken..], [] | [b'\n']), "it is one answer");
        }
    }
}

/// Whether something was written. What was not left nothing behind.
fn whole(written: &Result<(), EncodeError>, out: &[u8]) -> bool {
    assert!(written.is_ok() || out.is_empty(), "an error leaves nothing behind");
    written.is_ok() && !out.is_empty()
}

/// That two values are the same, as far as both say.
fn same(one: &Body<'_>, other: &Body<'_>) {
    match (one.form, other.form) {
        (Form::Postcard, Form::Postcard) => assert_eq!(one.bytes, other.bytes),
        (Form::Gob { .. }, Form::Gob { .. }) => assert_eq!(written(one), written(other)),
        (Form::Params, Form::Params) => assert_eq!(line(one.bytes), other.bytes),
        (Form::Json | Form::Params, Form::Json) if other.bytes != b"{}" => {
            let json = one.to_json().expect("it was passed on");
            assert_eq!(json.as_bytes(), other.bytes);
        }
        _ => assert!(other.to_json().is_ok() || matches!(one.form, Form::Gob { .. })),
    }
}

/// Without white space around it and line breaks in it.
fn line(json: &[u8]) -> Vec<u8> {
    let breaks = |byte: &u8| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte };
    json.iter().map(breaks).collect()
}

/// A gob value as a stream that has nothing else, or what is wrong with it.
fn written(body: &Body<'_>) -> Result<Vec<u8>, String> {
    let typed = typed(body)?;
    let mut out = Vec::new();
    Encoder::new().put(&mut out, &typed).map_err(|error| error.0)?;
    Ok(out)
}

fn typed(body: &Body<'_>) -> Result<Typed, String> {
    let Form::Gob { types, id } = body.form else { return Err("no gob".to_owned()) };
    Typed::decode(&Raw { types, id, bytes: body.bytes }, &LIMITS).map_err(|error| error.0)
}

/// gob becomes JSON, which becomes the same type again.
fn json(args: &Body<'_>) {
    let Form::Gob { types, id } = args.form else { return };
    let Some(described) = Described::of(types, id) else { return };
    assert!(described.is(types, id));
    assert!(described.is(&described.types, described.id));
    let again = |json: &str| {
        let hint = Some((&described.types, described.id));
        let typed = Typed::from_json(json, hint, &LIMITS).ok()?;
        assert!(described.is(&typed.types, typed.id), "{json} is of the type");
        typed.to_json(&LIMITS).ok()
    };
    let Some(first) = typed(args).ok().and_then(|typed| typed.to_json(&LIMITS).ok()) else {
        return;
    };
    // What was zero and yet there is left out from then on.
    let Some(second) = again(&first) else { return };
    if names_are_unlike(&described.types, described.id) {
        assert_eq!(again(&second).as_deref(), Some(&*second), "{first}");
    }
}

/// Whether no struct has two fields of one name: JSON cannot tell them apart.
fn names_are_unlike(types: &Types, id: TypeId) -> bool {
    let mut seen = std::collections::HashSet::new();
    let mut left = vec![id];
    while let Some(id) = left.pop() {
        let Some(kind) = types.get(id).filter(|_| seen.insert(id)) else { continue };
        if let Type::Struct { fields, .. } = kind {
            let mut names = std::collections::HashSet::new();
            if !fields.iter().all(|field| names.insert(&field.name)) {
                return false;
            }
        }
        left.extend(kind.inner());
    }
    true
}

const METHOD: &str = "Fuzz.Call";

const LIMITS: Limits = Limits {
    message: 1 << 20,
    nesting: 64,
    types: 1024,
    definitions: 1 << 20,
    fields: 1024,
    decoded: 1 << 20,
};
