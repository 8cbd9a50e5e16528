//! What the network rivals written on tokio share.

pub mod protocol;
pub mod server;
