//! What the macro says of mistakes.

#[test]
fn mistakes_are_told_with_their_remedy() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
