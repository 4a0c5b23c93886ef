//! The codec from outside: the corpora, properties and the rules one by one.

mod allocations;
mod chunks;
mod connect;
mod corpus;
mod detect;
mod facade;
mod forward;
mod gateway;
mod gob;
mod http2;
mod jsonrpc;
mod native;
mod native_page;
mod native_values;
mod netrpc;
mod properties;
mod rules;
mod strict;
mod untyped;
