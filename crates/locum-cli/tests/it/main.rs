//! End-to-end tests: the built binary, real sockets, peers of our own making. What they know of
//! the program is its command line, its configuration file and its admin API.

mod admin;
mod asking;
mod balance;
mod calling;
mod config;
mod corpus;
mod deadlines;
mod decisions;
mod discovery;
mod draining;
mod explain;
mod fallback;
mod faults;
mod health;
mod hedging;
mod http2;
mod injected;
mod lifecycle;
mod limits;
mod overriding;
mod pages;
mod passwords;
mod policies;
mod priorities;
mod pushback;
mod routing;
mod rpc_proxy;
mod setup;
mod simulate;
mod streaming;
mod three_ways;
mod throttling;
mod tls;
mod tokens;
mod transcoding;
