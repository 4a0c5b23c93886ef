//! Errors of calls, and how they travel.

use std::time::Duration;

use locum::{
    AppError, CallError, Delivery, ProtocolError, ProtocolKind, Rejection, TransportError,
    TransportKind,
};
use locum_wire::rpc::{Class, Failure};

use crate::service::ArithError;

fn rejection(kind: &str) -> Rejection {
    Rejection {
        kind: kind.to_owned(),
        policy: "careful".to_owned(),
        reason: "open".to_owned(),
        detail: String::new(),
        retry_after: Some(Duration::from_secs(4)),
        delivery: Delivery::Refused,
    }
}

fn transport(kind: TransportKind) -> TransportError {
    TransportError { kind, delivery: Delivery::MaybeProcessed, detail: "x".to_owned() }
}

fn protocol<E>(kind: ProtocolKind) -> CallError<E> {
    CallError::Protocol(ProtocolError { kind, detail: "x".to_owned() })
}

/// What the caller of a handler is told that ended with `error`.
fn passed(error: &CallError<ArithError>) -> CallError<ArithError> {
    CallError::from_failure(error.to_failure())
}

#[test]
fn classes_are_never_collapsed() {
    for error in [
        CallError::App(ArithError::DivideByZero),
        CallError::App(ArithError::Overflow { by: 3 }),
        protocol(ProtocolKind::UnknownMethod),
        protocol(ProtocolKind::BadArguments),
        CallError::Internal("the handler panicked".to_owned()),
    ] {
        assert_eq!(passed(&error), error);
    }
    let late = Rejection { delivery: Delivery::MaybeProcessed, ..rejection("deadline") };
    let late = CallError::Rejected(Box::new(late));
    assert_eq!(late.to_failure().class, Class::Deadline);
    assert_eq!(passed(&late), late);
}

#[test]
fn what_the_peer_asked_says_nothing_of_the_call_itself() {
    let closed = CallError::Transport(TransportError {
        delivery: Delivery::NotSent,
        ..transport(TransportKind::Closed)
    });
    let internal = CallError::Internal("connection closed: x".to_owned());
    assert_eq!(passed(&closed), internal);
    assert_eq!(passed(&closed).delivery(), Delivery::MaybeProcessed);
    assert_eq!(passed(&protocol(ProtocolKind::BadReply)), CallError::Internal("x".to_owned()));
    let refused = passed(&CallError::Rejected(Box::new(rejection("breaker"))));
    let text = "rejected by breaker \"careful\": open; retry after 4.0s";
    assert_eq!(refused, CallError::Internal(text.to_owned()));
    assert_eq!(refused.delivery(), Delivery::MaybeProcessed);
    let cancelled: CallError = CallError::Transport(transport(TransportKind::Cancelled));
    assert_eq!(cancelled.to_failure().text, "context canceled");
}

#[test]
fn a_failure_says_how_far_its_call_got() {
    let delivery = |failure| CallError::<String>::from_failure(failure).delivery();
    assert_eq!(delivery(Failure::app("x")), Delivery::MaybeProcessed);
    assert_eq!(delivery(Failure::unknown_method("A.B")), Delivery::Refused);
    assert_eq!(delivery(Failure::bad_arguments("x")), Delivery::Refused);
    assert_eq!(delivery(Failure::unavailable("full")), Delivery::Refused);
    assert_eq!(delivery(Failure::deadline()), Delivery::MaybeProcessed);
    assert_eq!(delivery(Failure::cancelled()), Delivery::MaybeProcessed);
    assert_eq!(delivery(Failure::internal("x")), Delivery::MaybeProcessed);
    let text = Failure::of_text(r#"locum: rejected by breaker "careful": open; retry after 4.0s"#);
    let error = CallError::<String>::from_failure(text);
    assert_eq!(error, CallError::Rejected(Box::new(rejection("breaker"))));
}

#[test]
fn an_error_of_a_service_is_told_by_its_text() {
    let told = |text: &str| ArithError::from_text(text.to_owned());
    assert_eq!(told("divide by zero"), ArithError::DivideByZero);
    assert_eq!(told("out of memory"), ArithError::Other("out of memory".to_owned()));
    assert_eq!(told("overflow by 3"), ArithError::Other("overflow by 3".to_owned()));
    assert_eq!(ArithError::Overflow { by: 3 }.code(), Some(34));
    assert_eq!(ArithError::DivideByZero.code(), None);
}

#[test]
fn an_error_of_a_service_may_travel_as_a_value() {
    let bytes = ArithError::Overflow { by: 3 }.to_bytes().unwrap();
    assert_eq!(ArithError::from_bytes(&bytes), Some(ArithError::Overflow { by: 3 }));
    assert_eq!(ArithError::from_bytes(&[9]), None);
    assert_eq!(String::new().to_bytes(), None);
}

#[test]
fn question_marks_make_errors_of_calls() {
    fn divide(by: u8) -> Result<u8, CallError<ArithError>> {
        let by = std::num::NonZeroU8::new(by).ok_or(ArithError::DivideByZero)?;
        Ok(7 / by)
    }
    fn text() -> Result<(), CallError> {
        Err("no")?;
        Err(String::new())?
    }
    assert_eq!(divide(0), Err(CallError::App(ArithError::DivideByZero)));
    assert_eq!(text(), Err(CallError::App("no".to_owned())));
    let theirs = divide(0).map_err(|error| error.map_app(|error| error.to_string()));
    assert_eq!(theirs, Err(CallError::App("divide by zero".to_owned())));
}

#[test]
fn results_stay_small() {
    assert!(size_of::<Result<i64, CallError>>() <= 40);
    assert!(size_of::<Result<i64, CallError<ArithError>>>() <= 40);
}

#[test]
fn errors_are_told_in_a_clause() {
    let told = [
        CallError::App("divide by zero".to_owned()).to_string(),
        CallError::<String>::Rejected(Box::new(rejection("breaker"))).to_string(),
        CallError::<String>::Transport(transport(TransportKind::Connect)).to_string(),
        protocol::<String>(ProtocolKind::BadReply).to_string(),
        CallError::<String>::Internal("panicked".to_owned()).to_string(),
    ];
    assert_eq!(
        told,
        [
            "divide by zero",
            r#"rejected by breaker "careful": open; retry after 4.0s"#,
            "cannot connect: x",
            "bad reply: x",
            "internal: panicked",
        ]
    );
}
