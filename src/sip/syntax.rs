//! Character classes of RFC 3261 §25.1 as one table, and the few scanners every parser here is made
//! of. Nothing in it allocates, recurses or can run past its input.

/// `token`: method, header and parameter names.
pub(super) const TOKEN: u8 = 1;
/// What may stand bare in a URI's `user`, `%` escapes apart.
pub(super) const USER: u8 = 2;
/// `password`.
pub(super) const PASSWORD: u8 = 4;
/// `paramchar`.
pub(super) const PARAM: u8 = 8;
/// `hnv-unreserved` and `unreserved`: a URI's headers.
pub(super) const HEADER: u8 = 16;
/// A host name. The underscore is no RFC's, but the field's.
pub(super) const HOST: u8 = 32;
/// What may stand bare as a header parameter's value. Wider than RFC 3261's `token` and `host`: IPv6
/// without brackets in `received` (RFC 5118 §4.5), `=` and Latin-1 are met in the field, and none of
/// them can be mistaken.
pub(super) const VALUE: u8 = 64;
/// What a value of a list may need care at: quotes, brackets, commas, semicolons.
const MARK: u8 = 128;

static CLASS: [u8; 256] = {
    let mut class = [0u8; 256];
    let mut c = 0;
    while c < 256 {
        let byte = c as u8;
        if byte.is_ascii_alphanumeric() {
            class[c] = TOKEN | USER | PASSWORD | PARAM | HEADER | HOST | VALUE;
        } else if matches!(byte, b'"' | b'<' | b'>' | b',' | b';') {
            class[c] = MARK;
        } else if byte.is_ascii_graphic() || !byte.is_ascii() {
            class[c] = VALUE;
        }
        c += 1;
    }
    class = mark(class, b"-.!%*_+`'~", TOKEN);
    class = mark(class, b"-_.!~*'()&=+$,;?/", USER);
    // A dialled star code carries its `#` bare in half the field's requests.
    class = mark(class, b"#", USER);
    class = mark(class, b"-_.!~*'()&=+$,", PASSWORD);
    class = mark(class, b"-_.!~*'()[]/:&+$", PARAM);
    class = mark(class, b"-_.!~*'()[]/?:+$", HEADER);
    mark(class, b"-._", HOST)
};

const fn mark(mut class: [u8; 256], bytes: &[u8], bit: u8) -> [u8; 256] {
    let mut i = 0;
    while i < bytes.len() {
        class[bytes[i] as usize] |= bit;
        i += 1;
    }
    class
}

pub(super) const fn is(byte: u8, class: u8) -> bool {
    CLASS[byte as usize] & class != 0
}

/// One byte or more, all of the class.
pub(super) fn all(bytes: &[u8], class: u8) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&b| is(b, class))
}

/// As [`all`], but empty passes and `%` must open a valid escape.
pub(super) fn escaped(bytes: &[u8], class: u8) -> bool {
    let bare = bytes.iter().position(|&b| !is(b, class)).unwrap_or(bytes.len());
    let mut rest = &bytes[bare..];
    loop {
        rest = match rest {
            [] => return true,
            [b'%', high, low, tail @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => tail,
            [byte, tail @ ..] if is(*byte, class) => tail,
            _ => return false,
        }
    }
}

pub(super) fn is_token(bytes: &[u8]) -> bool {
    all(bytes, TOKEN)
}

const fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// Without spaces and tabs at either end. Folds are gone before anything is trimmed.
pub(super) const fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = bytes
        && is_blank(*first)
    {
        bytes = rest;
    }
    while let [rest @ .., last] = bytes
        && is_blank(*last)
    {
        bytes = rest;
    }
    bytes
}

pub(super) fn trim_start(bytes: &[u8]) -> &[u8] {
    let blanks = bytes.iter().take_while(|&&b| is_blank(b)).count();
    bytes.get(blanks..).unwrap_or_default()
}

/// Splits at the first byte for which `at` holds; that byte stays at the head of the second part.
pub(super) fn split_where(bytes: &[u8], at: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|&b| at(b)).unwrap_or(bytes.len());
    bytes.split_at(end)
}

/// A quoted string at the head of `bytes` and what follows it; the quotes stay on. `None` where it
/// never closes (RFC 3261 §25.1: a backslash takes the next byte with it), and where a line ends in it.
pub(super) fn quoted(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    if bytes.first() != Some(&b'"') {
        return None;
    }
    let mut i = 1;
    loop {
        match bytes.get(i)? {
            b'"' => return bytes.split_at_checked(i + 1),
            b'\r' | b'\n' => return None,
            b'\\' if matches!(bytes.get(i + 1), Some(b'\r' | b'\n')) => return None,
            b'\\' => i += 2,
            _ => i += 1,
        }
    }
}

/// The first `sep`, a comma or semicolon, outside quotes and angle brackets, with what is before and what is after it.
/// Unbalanced quotes and brackets run to the end: the item's own parser then refuses it.
pub(super) fn split_item(bytes: &[u8], sep: u8) -> (&[u8], Option<&[u8]>) {
    let mut angle = false;
    let mut at = 0;
    while let Some((i, &mark)) = bytes.get(at..).and_then(|rest| {
        let i = rest.iter().position(|&b| is(b, MARK))?;
        Some((at + i, rest.get(i)?))
    }) {
        at = i + 1;
        match mark {
            b'"' if !angle => match bytes.get(i..).and_then(quoted) {
                Some((string, _)) => at = i + string.len(),
                None => return (bytes, None),
            },
            b'<' => angle = true,
            b'>' => angle = false,
            _ if mark == sep && !angle => return (&bytes[..i], bytes.get(at..)),
            _ => {}
        }
    }
    (bytes, None)
}

/// Decimal digits and nothing else, leading zeros allowed (RFC 4475 §3.1.1.1). `None` past `u64`.
pub(super) fn number(bytes: &[u8]) -> Option<u64> {
    if bytes.is_empty() {
        return None;
    }
    bytes.iter().try_fold(0u64, |n, b| {
        let digit = b.is_ascii_digit().then(|| u64::from(b - b'0'))?;
        n.checked_mul(10)?.checked_add(digit)
    })
}

pub(super) fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|n| n as u8)
}

/// The digits of `n`, written into `room`.
pub(super) fn decimal(mut n: usize, room: &mut [u8; 20]) -> &[u8] {
    let mut at = room.len();
    loop {
        at -= 1;
        room[at] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            return &room[at..];
        }
    }
}

/// The place of `part`, a slice of `whole`, within it.
pub(super) fn offset(whole: &[u8], part: &[u8]) -> usize {
    (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize)
}

/// The first CR or LF, eight bytes at a step.
pub(super) fn line_end(bytes: &[u8]) -> Option<usize> {
    const LOW: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = LOW << 7;
    const CR: u64 = LOW * b'\r' as u64;
    const LF: u64 = LOW * b'\n' as u64;
    let mut words = bytes.chunks_exact(8);
    let mut i = 0;
    for word in &mut words {
        let word = u64::from_le_bytes(word.try_into().unwrap_or_default());
        let (cr, lf) = (word ^ CR, word ^ LF);
        let hit = ((cr.wrapping_sub(LOW) & !cr) | (lf.wrapping_sub(LOW) & !lf)) & HIGH;
        if hit != 0 {
            // The lowest hit is exact; borrows only ever reach the bytes above it.
            return Some(i + hit.trailing_zeros() as usize / 8);
        }
        i += 8;
    }
    words.remainder().iter().position(|&b| b == b'\r' || b == b'\n').map(|at| i + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_ends_at_its_first_cr_or_lf_wherever_it_lies() {
        for length in 0..40 {
            for at in 0..length {
                for end in [b'\r', b'\n'] {
                    let mut line = vec![0x8d; length];
                    line[at] = end;
                    assert_eq!(line_end(&line), Some(at));
                    line[length - 1] = b'\r';
                    assert_eq!(line_end(&line), Some(at));
                }
            }
            assert_eq!(line_end(&vec![0x0c; length]), None);
        }
    }

    #[test]
    fn an_item_ends_outside_quotes_and_brackets_only() {
        assert_eq!(
            split_item(b"\"a,\\\",\" <sip:a,b>,c", b','),
            (&b"\"a,\\\",\" <sip:a,b>"[..], Some(&b"c"[..]))
        );
        assert_eq!(split_item(b"\"open, <", b','), (&b"\"open, <"[..], None));
    }

    #[test]
    fn a_number_is_read_as_it_was_written() {
        for n in [0, 9, 10, 65_536, usize::MAX] {
            assert_eq!(decimal(n, &mut [0; 20]), n.to_string().as_bytes());
        }
    }

    #[test]
    fn numbers_end_where_u64_ends() {
        assert_eq!(number(b"0009"), Some(9));
        assert_eq!(number(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(number(b"18446744073709551616"), None);
        assert_eq!((number(b""), number(b"-1"), number(b"+1"), number(b"1 ")), (None, None, None, None));
    }
}
