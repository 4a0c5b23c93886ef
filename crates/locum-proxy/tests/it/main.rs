//! The data path as a library, over real sockets: what is easier said in settings than in a file.

mod setup;
mod tls;
