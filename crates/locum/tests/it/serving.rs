//! A server, and clients that are played by hand.

mod calls;
mod drain;
mod gob;
mod limits;
mod peer;
mod policy;
mod protocols;
mod world;
