//! Whole calls as ladders, in the manner of RFC 3665: what goes over the wire, and when.

mod absence;
mod audio;
mod ends;
mod known;
mod loss;
mod main_job;
mod media;
mod offers;
mod recording;
mod softphone;
pub mod stage;
mod waiting;
mod web;
