//! The data path as a library, over real sockets: what is easier said in settings than in a file.

mod auth;
mod setup;
mod tls;
