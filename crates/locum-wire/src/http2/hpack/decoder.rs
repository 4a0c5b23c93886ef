//! Reading blocks (RFC 7541 §3.2 and §6).

use super::table::{OVERHEAD, Table};
use super::{Excess, Fields, Malformed, TABLE_SIZE, huffman, integer, predefined};

/// Reads the blocks of one direction of a connection, every one of them and in order.
#[derive(Debug)]
pub(crate) struct Decoder {
    pub(super) table: Table,
    /// How large the peer may make the table.
    most: usize,
}

impl Decoder {
    pub(crate) fn new() -> Self {
        Self { table: Table::new(), most: TABLE_SIZE }
    }

    /// The peer knows from now on how large it may make the table.
    pub(crate) fn set_most(&mut self, most: usize) {
        self.most = most;
    }

    /// Reads a whole block, unless [`Excess::Patience`] ends it.
    pub(crate) fn decode(
        &mut self,
        mut block: &[u8],
        fields: &mut Fields,
    ) -> Result<(), Malformed> {
        // RFC 7541 §4.2: changes of the size stand before the first field, and must stand there when
        // the peer was told to make its table smaller.
        while let [0x20..=0x3f, ..] = block {
            let (size, rest) = integer::decode(block, 5)?;
            if size > self.most {
                return Err(Malformed);
            }
            self.table.resize(size);
            block = rest;
        }
        if self.table.max() > self.most {
            return Err(Malformed);
        }
        while let Some(&first) = block.first()
            && fields.excess() != Some(Excess::Patience)
        {
            block = match first {
                0x80.. => self.indexed(block, fields)?,
                0x40.. => self.literal(block, 6, true, fields)?,
                0x20.. => return Err(Malformed),
                0x10.. => {
                    let rest = self.literal(block, 4, false, fields)?;
                    fields.mark_secret();
                    rest
                }
                _ => self.literal(block, 4, false, fields)?,
            };
        }
        Ok(())
    }

    /// RFC 7541 §6.1.
    fn indexed<'a>(&self, block: &'a [u8], fields: &mut Fields) -> Result<&'a [u8], Malformed> {
        let (number, rest) = integer::decode(block, 7)?;
        let (name, value) = self.get(number)?;
        if fields.excess().is_none() {
            fields.buffer().extend_from_slice(name);
            fields.buffer().extend_from_slice(value);
            fields.push(name.len());
        } else {
            fields.skip(name.len() + value.len() + OVERHEAD);
        }
        Ok(rest)
    }

    /// RFC 7541 §6.2.
    fn literal<'a>(
        &mut self,
        block: &'a [u8],
        prefix: u32,
        is_kept: bool,
        fields: &mut Fields,
    ) -> Result<&'a [u8], Malformed> {
        let (number, mut rest) = integer::decode(block, prefix)?;
        if number == 0 {
            rest = string(rest, fields.buffer())?;
        } else {
            fields.buffer().extend_from_slice(self.get(number)?.0);
        }
        let name_len = fields.last().len();
        rest = string(rest, fields.buffer())?;
        if is_kept {
            let (name, value) = fields.last().split_at(name_len);
            self.table.insert(name, value);
        }
        fields.push(name_len);
        Ok(rest)
    }

    /// RFC 7541 §2.3.3.
    fn get(&self, number: usize) -> Result<(&[u8], &[u8]), Malformed> {
        predefined::get(number)
            .or_else(|| self.table.get(number.checked_sub(predefined::COUNT + 1)?))
            .ok_or(Malformed)
    }
}

/// RFC 7541 §5.2: appends the string to `out`, gives what follows it.
fn string<'a>(input: &'a [u8], out: &mut Vec<u8>) -> Result<&'a [u8], Malformed> {
    let is_coded = input.first().is_some_and(|it| it & 0x80 != 0);
    let (length, rest) = integer::decode(input, 7)?;
    let (text, rest) = rest.split_at_checked(length).ok_or(Malformed)?;
    if is_coded {
        huffman::decode(text, out)?;
    } else {
        out.extend_from_slice(text);
    }
    Ok(rest)
}
