//! The codec from outside: the corpora, properties and the rules one by one.

mod allocations;
mod chunks;
mod connect;
mod corpus;
mod facade;
mod gateway;
mod native;
mod native_page;
mod gob;
mod properties;
mod rules;
mod strict;
