//! What the systems generate from a description of their service. tonic's is described here, which
//! spares the compiler of protobuf; capnp's needs its own.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    capnpc::CompilerCommand::new()
        .src_prefix("idl")
        .file("idl/bench.capnp")
        .default_parent_module(vec!["peers".into(), "capnp".into()])
        .run()?;

    volo_build::Builder::thrift().add_service("idl/bench.thrift").write()?;

    let method = |name, route, input, output| {
        tonic_build::manual::Method::builder()
            .name(name)
            .route_name(route)
            .input_type(input)
            .output_type(output)
            .codec_path("tonic_prost::ProstCodec")
            .build()
    };
    let service = tonic_build::manual::Service::builder()
        .name("Bench")
        .package("bench")
        .method(method("multiply", "Multiply", "super::super::Args", "super::super::Product"))
        .method(method("echo", "Echo", "super::super::Payload", "super::super::Payload"))
        .build();
    tonic_build::manual::Builder::new().compile(&[service]);
    Ok(())
}
