//! The generated code of `proto/`, and nothing else.
//!
//! Each package `layover.X.v1` is the module `X::v1`.

mod generated {
    #![expect(
        clippy::large_enum_variant,
        reason = "written by tonic-prost-build out of proto/"
    )]
    include!(concat!(env!("OUT_DIR"), "/layover.rs"));
}

pub use generated::layover::*;

/// The description of the admin service for gRPC reflection, an encoded `FileDescriptorSet`.
pub const ADMIN_DESCRIPTORS: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/admin_descriptors.bin"));
