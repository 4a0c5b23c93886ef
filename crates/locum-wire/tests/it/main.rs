//! The codec from outside: the corpora, properties and the rules one by one.

mod corpus;
mod gateway;
mod strict;
