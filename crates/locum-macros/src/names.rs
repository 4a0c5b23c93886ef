//! How names are spelled.

use quote::ToTokens;
use syn::Ident;

/// `ident` without what makes a keyword an identifier.
pub(crate) fn bare(ident: &Ident) -> String {
    ident.to_string().trim_start_matches("r#").to_owned()
}

/// `user_id` as Go spells it where it is seen from outside: `UserId`.
pub(crate) fn pascal(name: &str) -> String {
    let words = name.trim_start_matches("r#").split('_');
    words.map(capitalized).collect()
}

fn capitalized(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// `UserStore` as a static is spelled: `USER_STORE`.
pub(crate) fn screaming(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut screaming = String::new();
    for (at, &letter) in letters.iter().enumerate() {
        let after_small = at > 0 && !letters[at - 1].is_uppercase() && letters[at - 1] != '_';
        // The last capital of `HTTPServer`'s first four begins a word.
        let before_small = at > 0 && letters.get(at + 1).is_some_and(|next| next.is_lowercase());
        let in_word = at > 0 && letters[at - 1] != '_';
        if letter.is_uppercase() && in_word && (after_small || before_small) {
            screaming.push('_');
        }
        screaming.extend(letter.to_uppercase());
    }
    screaming
}

/// `syntax` as a person would write it.
pub(crate) fn written(syntax: &impl ToTokens) -> String {
    let mut text = syntax.to_token_stream().to_string();
    for (spaced, close) in [
        (" :: ", "::"),
        (":: ", "::"),
        (" < ", "<"),
        (" >", ">"),
        (" ,", ","),
        (" ;", ";"),
        ("& ", "&"),
        ("( ", "("),
        (" )", ")"),
        ("[ ", "["),
        (" ]", "]"),
    ] {
        text = text.replace(spaced, close);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_spelled_as_go_does() {
        assert_eq!(pascal("multiply"), "Multiply");
        assert_eq!(pascal("user_id"), "UserId");
        assert_eq!(pascal("r#type"), "Type");
        assert_eq!(pascal("get_v2__all_"), "GetV2All");
    }

    #[test]
    fn statics_are_spelled_as_rust_does() {
        assert_eq!(screaming("Arith"), "ARITH");
        assert_eq!(screaming("UserStore"), "USER_STORE");
        assert_eq!(screaming("HTTPServer2Go"), "HTTP_SERVER2_GO");
        assert_eq!(screaming("Already_Split"), "ALREADY_SPLIT");
    }

    #[test]
    fn types_are_written_without_gaps() {
        let types = ["Vec<i64>", "(i64, String)", "[u8; 4]", "std::collections::BTreeMap<u8, ()>"];
        for text in types {
            let ty: syn::Type = syn::parse_str(text).unwrap();
            assert_eq!(written(&ty), text);
        }
    }
}
