//! Every integration test, as one binary.

mod differential;
mod tidy;
mod torture;
