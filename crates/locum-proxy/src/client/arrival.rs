//! How a request arrives: silence, a first byte, the rest of its head.

use std::future::poll_fn;
use std::task::{Context, Poll};

use locum_policy::Time;
use locum_wire::http1::{self, Head};
use locum_wire::http2::PREFACE;

use super::Client;
use crate::parking;
use crate::refusal::Refusal;
use crate::worker::Worker;

/// What became of waiting for a request.
pub(super) enum Arrival {
    /// A head is there.
    Head,
    /// It speaks HTTP/2, by its preface.
    Http2,
    /// The connection ended where it may end.
    End,
    /// The client is silent; at that time the connection ends.
    Silence(Time),
    /// What came is no request. In a box: an idle connection has no room for why.
    Refused(Box<Refusal>),
}

/// What a connection without a whole head waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Waiting {
    /// The first byte of a head; empty lines before it do not count.
    ForFirst,
    /// The rest of it.
    ForRest,
}

impl Client {
    /// Waits for a request's head and reads it.
    pub(super) async fn next_request(&mut self, worker: &Worker) -> Arrival {
        let mut until = Time::NEVER;
        loop {
            if self.buffer.is_empty()
                && let Some(instead) = self.wait(worker, &mut until).await
            {
                return instead;
            }
            let limits = self.wire_limits();
            let mut head = worker.head();
            let mut waiting = None;
            let arrival = poll_fn(|cx| self.poll_head(cx, &mut head, &limits, &mut waiting)).await;
            match arrival {
                Some(Arrival::Head) => self.head = Some(head),
                _ => worker.give_head(head),
            }
            if let Some(arrival) = arrival {
                return arrival;
            }
        }
    }

    /// Waits for a first byte, without a buffer; `None` once it is there. At `until` the connection ends; that is set
    /// if it was not.
    async fn wait(&mut self, worker: &Worker, until: &mut Time) -> Option<Arrival> {
        self.buffer.shrink();
        let mut armed = false;
        poll_fn(|cx| {
            match self.stream.poll_readable(cx) {
                Poll::Ready(Ok(())) => return Poll::Ready(None),
                Poll::Ready(Err(_)) => return Poll::Ready(Some(Arrival::End)),
                Poll::Pending => {}
            }
            if !armed {
                armed = true;
                *until = (*until).min(self.alarm.now() + self.listener.settings.limits.idle);
                self.alarm.arm(self.parks_at().min(*until));
            }
            if worker.closes_idle() {
                return Poll::Ready(Some(Arrival::End));
            }
            self.alarm.poll(cx).map(|()| {
                let is_over = self.alarm.now() >= *until;
                Some(if is_over { Arrival::End } else { Arrival::Silence(*until) })
            })
        })
        .await
    }

    /// When it is parked, if nothing comes before.
    fn parks_at(&self) -> Time {
        if self.stream.is_plain() {
            parking::rounded(self.alarm.now() + parking::patience(self.times_parked))
        } else {
            Time::NEVER
        }
    }

    /// Reads until the head is whole; `None`: there was nothing to read after all. `waiting` remembers what the alarm was
    /// armed for last.
    fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        head: &mut Head,
        limits: &http1::Limits,
        waiting: &mut Option<Waiting>,
    ) -> Poll<Option<Arrival>> {
        let refused = |refusal| Some(Arrival::Refused(Box::new(refusal)));
        loop {
            if !self.buffer.is_empty() {
                match self.begins_as_http2() {
                    Some(true) => return Poll::Ready(Some(Arrival::Http2)),
                    None => {}
                    Some(false) => match head.parse_request(self.buffer.filled(), limits) {
                        Ok(true) => return Poll::Ready(Some(Arrival::Head)),
                        Ok(false) => {}
                        Err(error) => {
                            return Poll::Ready(refused(Refusal::malformed(error)));
                        }
                    },
                }
            }
            match self.buffer.poll_fill(cx, &mut self.stream) {
                Poll::Ready(Ok(0)) if head.is_started(self.buffer.filled()) => {
                    return Poll::Ready(refused(Refusal::cut_short()));
                }
                // Between two requests a client may close.
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Some(Arrival::End)),
                Poll::Ready(Ok(_)) => {}
                Poll::Pending if self.buffer.is_empty() => return Poll::Ready(None),
                Poll::Pending => {
                    // What comes in pieces gets its time, but no more memory than it has bytes.
                    self.buffer.shrink();
                    let started = head.is_started(self.buffer.filled());
                    let now = if started { Waiting::ForRest } else { Waiting::ForFirst };
                    if *waiting != Some(now) {
                        *waiting = Some(now);
                        let limits = &self.listener.settings.limits;
                        self.alarm.arm_in(match now {
                            Waiting::ForFirst => limits.idle,
                            Waiting::ForRest => limits.header_timeout,
                        });
                    }
                    return self.alarm.poll(cx).map(|()| match now {
                        Waiting::ForFirst => Some(Arrival::End),
                        Waiting::ForRest => refused(Refusal::slow_head()),
                    });
                }
            }
        }
    }

    /// Whether the connection begins with the preface of HTTP/2; `None`: so far it does. Under TLS it has to be
    /// agreed on before (RFC 9113 §3.2).
    fn begins_as_http2(&self) -> Option<bool> {
        let filled = self.buffer.filled();
        if filled[0] != PREFACE[0] || self.served > 0 {
            return Some(false);
        }
        let so_far = filled.len().min(PREFACE.len());
        if filled[..so_far] != PREFACE[..so_far] || self.stream.is_secure() {
            return Some(false);
        }
        (so_far == PREFACE.len()).then_some(true)
    }
}
