//! Remote calls through the built program, between real peers: Go on both sides, or on one with bytes of
//! our own making on the other.

mod balancing;
mod cancelling;
mod clients;
mod detecting;
mod errors;
mod hostile;
mod large;
mod lifecycle;
mod policies;
mod setup;
mod translating;
mod types;
