//! The kinds of values that a policy's keys may have.

use core::{fmt::Display, time::Duration};

use toml::Spanned;

use super::errors::Fault;

pub(super) fn duration(key: &str, text: &Spanned<String>) -> Result<Duration, Fault> {
    humantime::parse_duration(text.get_ref()).map_err(|_| {
        let message = format!(
            "{key} = \"{}\" is not a duration; write for example \"15s\", \"4h\" or \"30d\"",
            text.get_ref().escape_debug()
        );
        Fault::new(text.span(), message)
    })
}

/// Octets, as sizes are written: `512`, `50MiB`, `2GB`.
#[must_use]
pub fn size(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim_start() {
        "" | "B" => 1,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// Octets; none when nothing is written.
pub(super) fn octets(key: &str, text: Option<&Spanned<String>>) -> Result<u64, Fault> {
    let Some(text) = text else { return Ok(0) };
    size(text.get_ref()).ok_or_else(|| {
        let message = format!(
            "{key} = \"{}\" is not a size; write for example \"50MiB\" or \"2GiB\"",
            text.get_ref().escape_debug()
        );
        Fault::new(text.span(), message)
    })
}

/// One of several words; those without a meaning are known but not supported by this version.
pub(super) fn choice<T: Copy>(
    key: &str,
    word: Option<&Spanned<String>>,
    default: T,
    known: &[(&str, Option<T>)],
) -> Result<T, Fault> {
    let Some(word) = word else { return Ok(default) };
    let found = known.iter().find(|(name, _)| name == word.get_ref());
    if let Some((_, Some(meaning))) = found {
        return Ok(*meaning);
    }
    let supported = or_list(
        known
            .iter()
            .filter(|(_, meaning)| meaning.is_some())
            .map(|(name, _)| name),
    );
    let given = word.get_ref().escape_debug();
    let what = if found.is_some() {
        "is not supported by this version"
    } else {
        "is unknown"
    };
    Err(Fault::new(
        word.span(),
        format!("{key} = \"{given}\" {what}; use {supported}"),
    ))
}

fn or_list<T: Display>(words: impl Iterator<Item = T>) -> String {
    let quoted: Vec<String> = words.map(|word| format!("\"{word}\"")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

pub(super) fn number(
    key: &str,
    value: Option<&Spanned<i64>>,
    default: u32,
    range: core::ops::RangeInclusive<u32>,
) -> Result<u32, Fault> {
    let Some(value) = value else {
        return Ok(default);
    };
    u32::try_from(*value.get_ref())
        .ok()
        .filter(|n| range.contains(n))
        .ok_or_else(|| {
            let message = format!(
                "{key} = {} is out of range; {} to {} are possible",
                value.get_ref(),
                range.start(),
                range.end()
            );
            Fault::new(value.span(), message)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_take_binary_and_decimal_units() {
        for (text, bytes) in [
            ("0", 0),
            ("512", 512),
            ("1 KiB", 1024),
            ("50MiB", 50 << 20),
            ("2GB", 2_000_000_000),
        ] {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        for text in [
            "",
            "MiB",
            "-1",
            "1.5MiB",
            "1mib",
            "99999999999TiB",
            "\u{fc}",
        ] {
            assert_eq!(size(text), None, "{text}");
        }
    }
}
