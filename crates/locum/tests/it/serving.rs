//! A server, and clients that are played by hand.

mod calls;
mod peer;
mod world;
