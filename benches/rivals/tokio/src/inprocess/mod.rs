//! The works and the watch that measures them. Each work is described in the same words as its
//! twin in benches/inprocess.

pub mod sync;
pub mod tasks;
pub mod time;
pub mod work;
pub mod workers;
