//! HTTP/2 from outside.

mod floods;
mod frames;
mod h2spec;
mod injection;
mod pair;
mod talk;
