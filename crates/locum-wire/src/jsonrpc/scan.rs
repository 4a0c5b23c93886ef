//! Where a JSON value ends, however it is cut.

/// Finds the end of one value and checks it on the way (RFC 8259), looking at each byte once, without
/// recursion. Only its text is not known to be UTF-8, nor escapes to make sense in pairs.
#[derive(Debug)]
pub(super) struct Scanner {
    /// How much of the value was looked at.
    at: usize,
    state: State,
    /// What is open, from the outside in.
    open: Vec<Container>,
    nesting: usize,
}

/// Why there is no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Invalid {
    /// It is not JSON.
    Syntax,
    /// It is nested too deep.
    Deep,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Container {
    Array,
    Object,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A value has to come,
    Value,
    /// or the end of an array that has none yet.
    ValueOrEnd,
    /// The name of a member has to come,
    Name,
    /// or the end of an object that has none yet.
    NameOrEnd,
    Colon,
    /// A value is over.
    After,
    Text {
        name: bool,
    },
    Escape {
        name: bool,
    },
    Hex {
        name: bool,
        left: u8,
    },
    Minus,
    Zero,
    Digits,
    Point,
    Fraction,
    Exponent,
    ExponentSign,
    Power,
    /// What is left of `true`, `false` or `null`.
    Word(&'static [u8]),
}

impl Scanner {
    /// At the beginning of a value in which no more than `nesting` arrays and objects are within each other.
    pub(super) fn new(nesting: usize) -> Self {
        Self { at: 0, state: State::Value, open: Vec::new(), nesting }
    }

    /// At the beginning of another value.
    pub(super) fn restart(&mut self) {
        self.at = 0;
        self.state = State::Value;
        self.open.clear();
    }

    /// What was looked at has been taken: the next input begins behind it.
    pub(super) fn rewind(&mut self) {
        self.at = 0;
    }

    /// How many bytes were looked at.
    pub(super) fn scanned(&self) -> usize {
        self.at
    }

    /// The length of the value that `input` begins with, once it is all there. A number is known to be
    /// over when something follows.
    pub(super) fn end(&mut self, input: &[u8]) -> Result<Option<usize>, Invalid> {
        let over = self.scan(input, |_, now| now == (State::After, 0))?;
        Ok(over.then_some(self.at))
    }

    /// Goes on to where a name, a value or an element that stands directly in the value ends, or the value itself.
    /// Tells whether it came there.
    pub(super) fn part(&mut self, input: &[u8]) -> Result<bool, Invalid> {
        self.scan(input, |before, now| {
            now != before && matches!(now, (State::Colon | State::After, ..=1))
        })
    }

    /// Whether a name was the last.
    pub(super) fn is_behind_name(&self) -> bool {
        self.state == State::Colon
    }

    /// Whether the value is over.
    pub(super) fn is_over(&self) -> bool {
        self.state == State::After && self.open.is_empty()
    }

    /// Goes on until `stops` says so, which is told of each step what was expected and how much was open, before
    /// and now. Tells whether it did.
    #[inline]
    fn scan(
        &mut self,
        input: &[u8],
        stops: impl Fn((State, usize), (State, usize)) -> bool,
    ) -> Result<bool, Invalid> {
        let (mut at, mut state) = (self.at, self.state);
        let stopped = loop {
            let Some(&byte) = input.get(at) else { break Ok(false) };
            if matches!(state, State::Text { .. }) && plain(byte) {
                at += 1;
                while input.get(at).copied().is_some_and(plain) {
                    at += 1;
                }
                continue;
            }
            let before = (state, self.open.len());
            if number_ends(state, byte) {
                state = State::After;
            } else {
                match self.step(state, byte) {
                    Ok(next) => state = next,
                    Err(invalid) => break Err(invalid),
                }
                at += 1;
            }
            if stops(before, (state, self.open.len())) {
                break Ok(true);
            }
        };
        (self.at, self.state) = (at, state);
        stopped
    }

    /// Whether what was looked at is a number, over if nothing follows.
    pub(super) fn is_number(&self) -> bool {
        self.open.is_empty() && number_ends(self.state, b' ')
    }

    fn step(&mut self, state: State, byte: u8) -> Result<State, Invalid> {
        use State::*;
        Ok(match (state, byte) {
            (
                Value | ValueOrEnd | Name | NameOrEnd | Colon | After,
                b' ' | b'\t' | b'\n' | b'\r',
            ) => state,

            (Value | ValueOrEnd, b'{') => self.open(Container::Object)?,
            (Value | ValueOrEnd, b'[') => self.open(Container::Array)?,
            (Value | ValueOrEnd, b'"') => Text { name: false },
            (Value | ValueOrEnd, b'-') => Minus,
            (Value | ValueOrEnd, b'0') => Zero,
            (Value | ValueOrEnd, b'1'..=b'9') => Digits,
            (Value | ValueOrEnd, b't') => Word(b"rue"),
            (Value | ValueOrEnd, b'f') => Word(b"alse"),
            (Value | ValueOrEnd, b'n') => Word(b"ull"),

            (Name | NameOrEnd, b'"') => Text { name: true },
            (Colon, b':') => Value,
            (After, b',') => match self.open.last() {
                Some(Container::Array) => Value,
                Some(Container::Object) => Name,
                None => return Err(Invalid::Syntax),
            },
            (After | ValueOrEnd, b']') => self.close(Container::Array)?,
            (After | NameOrEnd, b'}') => self.close(Container::Object)?,

            (Text { name: true }, b'"') => Colon,
            (Text { name: false }, b'"') => After,
            (Text { name }, b'\\') => Escape { name },
            (Escape { name }, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                Text { name }
            }
            (Escape { name }, b'u') => Hex { name, left: 4 },
            (Hex { name, left: 1 }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => Text { name },
            (Hex { name, left }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                Hex { name, left: left - 1 }
            }

            (Minus, b'0') => Zero,
            (Minus, b'1'..=b'9') | (Digits, b'0'..=b'9') => Digits,
            (Zero | Digits, b'.') => Point,
            (Point | Fraction, b'0'..=b'9') => Fraction,
            (Zero | Digits | Fraction, b'e' | b'E') => Exponent,
            (Exponent, b'+' | b'-') => ExponentSign,
            (Exponent | ExponentSign | Power, b'0'..=b'9') => Power,

            (Word([only]), byte) if *only == byte => After,
            (Word([first, rest @ ..]), byte) if *first == byte => Word(rest),

            _ => return Err(Invalid::Syntax),
        })
    }

    fn open(&mut self, container: Container) -> Result<State, Invalid> {
        if self.open.len() >= self.nesting {
            return Err(Invalid::Deep);
        }
        self.open.push(container);
        Ok(match container {
            Container::Array => State::ValueOrEnd,
            Container::Object => State::NameOrEnd,
        })
    }

    fn close(&mut self, container: Container) -> Result<State, Invalid> {
        if self.open.pop() == Some(container) { Ok(State::After) } else { Err(Invalid::Syntax) }
    }
}

/// Whether `byte` stands for itself in a string.
fn plain(byte: u8) -> bool {
    !matches!(byte, b'"' | b'\\' | ..b' ')
}

fn number_ends(state: State, byte: u8) -> bool {
    match state {
        State::Zero => !matches!(byte, b'.' | b'e' | b'E'),
        State::Digits => !matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E'),
        State::Fraction => !matches!(byte, b'0'..=b'9' | b'e' | b'E'),
        State::Power => !byte.is_ascii_digit(),
        _ => false,
    }
}

/// The length of the white space that `input` begins with.
pub(super) fn white(input: &[u8]) -> usize {
    input.iter().take_while(|it| matches!(it, b' ' | b'\t' | b'\n' | b'\r')).count()
}

/// The value that `input` is, without the white space around it; nothing else may be there. What is wrong is
/// told with its place.
pub(super) fn whole(input: &[u8], nesting: usize) -> Result<&[u8], (Invalid, usize)> {
    let start = white(input);
    let value = input.get(start..).unwrap_or_default();
    let mut scanner = Scanner::new(nesting);
    let end = match scanner.end(value) {
        Ok(Some(end)) => end,
        Ok(None) if scanner.is_number() => value.len(),
        Ok(None) => return Err((Invalid::Syntax, input.len())),
        Err(invalid) => return Err((invalid, start + scanner.scanned())),
    };
    let (value, behind) = value.split_at_checked(end).ok_or((Invalid::Syntax, input.len()))?;
    match white(behind) {
        space if space == behind.len() => Ok(value),
        space => Err((Invalid::Syntax, start + end + space)),
    }
}

/// The length of the value that `input` begins with, where it is known to be well-formed. `None`: it begins
/// with no value.
pub(super) fn length(input: &[u8]) -> Option<usize> {
    let mut depth = 0usize;
    let mut at = 0;
    loop {
        match input.get(at)? {
            b'"' => at = text_end(input, at)?,
            b'{' | b'[' => {
                depth += 1;
                at += 1;
            }
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                at += 1;
            }
            b',' | b':' | b' ' | b'\t' | b'\n' | b'\r' => at += 1,
            _ => {
                let rest = input.get(at..)?;
                let scalar =
                    rest.iter().take_while(|it| !matches!(it, b',' | b']' | b'}' | ..=b' '));
                at += scalar.count();
            }
        }
        if depth == 0 {
            return Some(at);
        }
    }
}

/// Where the string that begins at `start` is over.
fn text_end(input: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', input.get(at..)?)?;
        if input.get(at) == Some(&b'"') {
            return Some(at + 1);
        }
        at += 2;
    }
}
