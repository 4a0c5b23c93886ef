//! HTTP/2 from outside.

mod answers;
mod floods;
mod frames;
mod h2spec;
mod injection;
mod pair;
mod properties;
mod sent;
mod talk;
mod websocket;
