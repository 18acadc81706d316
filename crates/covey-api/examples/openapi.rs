//! Prints the OpenAPI document of the API. `make openapi` keeps it in `docs/protocol/openapi.json`.

fn main() {
    print!("{}", covey_api::openapi());
}
