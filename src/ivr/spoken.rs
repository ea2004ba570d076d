//! Numbers, digits and spans of time in words, and in the fragments a recorded voice is cut into.
//!
//! Each number is a row of [`Fragment`]s. A fragment has a name, under which a recording may stand
//! (`prompts/zh/n-3.wav`), and the words a speech command says in its place: plain English, and
//! for Chinese pinyin with tone numbers.

use std::time::Duration;

use crate::base::Language;

/// One recorded, or recordable, piece of speech.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fragment {
    /// The prompt's name.
    pub name: &'static str,
    pub words: &'static str,
}

macro_rules! fragments {
    ($($table:ident { $($name:literal = $words:literal),* $(,)? })*) => {$(
        const $table: &[Fragment] = &[$(Fragment { name: $name, words: $words }),*];
    )*};
}

fragments! {
    ENGLISH {
        "n-0" = "zero", "n-1" = "one", "n-2" = "two", "n-3" = "three", "n-4" = "four", "n-5" = "five",
        "n-6" = "six", "n-7" = "seven", "n-8" = "eight", "n-9" = "nine", "n-10" = "ten",
        "n-11" = "eleven", "n-12" = "twelve", "n-13" = "thirteen", "n-14" = "fourteen",
        "n-15" = "fifteen", "n-16" = "sixteen", "n-17" = "seventeen", "n-18" = "eighteen",
        "n-19" = "nineteen", "n-20" = "twenty", "n-30" = "thirty", "n-40" = "forty", "n-50" = "fifty",
        "n-60" = "sixty", "n-70" = "seventy", "n-80" = "eighty", "n-90" = "ninety",
        "n-hundred" = "hundred", "n-thousand" = "thousand", "n-million" = "million",
        "n-billion" = "billion", "n-trillion" = "trillion", "n-quadrillion" = "quadrillion",
        "n-quintillion" = "quintillion", "n-and" = "and",
        "n-star" = "star", "n-pound" = "pound",
        "t-hour" = "hour", "t-hours" = "hours", "t-minute" = "minute", "t-minutes" = "minutes",
        "t-second" = "second", "t-seconds" = "seconds",
    }
    CHINESE {
        "n-0" = "ling2", "n-1" = "yi1", "n-2" = "er4", "n-3" = "san1", "n-4" = "si4", "n-5" = "wu3",
        "n-6" = "liu4", "n-7" = "qi1", "n-8" = "ba1", "n-9" = "jiu3", "n-10" = "shi2",
        // 两, two of something; 幺, one in a row of digits.
        "n-liang" = "liang3", "n-yao" = "yao1",
        "n-hundred" = "bai3", "n-thousand" = "qian1", "n-wan" = "wan4", "n-yi" = "yi4",
        "n-star" = "xing1 hao4", "n-pound" = "jing3 hao4",
        "t-hours" = "xiao3 shi2", "t-minutes" = "fen1 zhong1", "t-seconds" = "miao3",
    }
}

/// Every fragment of a language.
pub const fn fragments(language: Language) -> &'static [Fragment] {
    match language {
        Language::En => ENGLISH,
        Language::Zh => CHINESE,
    }
}

/// A count, in words.
pub fn number(language: Language, n: u64) -> String {
    words(&number_fragments(language, n))
}

/// Digit by digit, as one reads a telephone or account number; what is no key is left out.
pub fn digits(language: Language, text: &str) -> String {
    words(&digit_fragments(language, text))
}

/// A span of time as one says it: whole minutes above one and a half, hours above ninety.
pub fn duration(language: Language, span: Duration) -> String {
    words(&duration_fragments(language, span))
}

pub fn number_fragments(language: Language, n: u64) -> Vec<Fragment> {
    let mut out = Row::new(language);
    match language {
        Language::En => out.english(n),
        Language::Zh => out.chinese(n),
    }
    out.fragments
}

pub fn digit_fragments(language: Language, text: &str) -> Vec<Fragment> {
    let mut out = Row::new(language);
    for c in text.chars() {
        match c {
            // 一 and 七 rhyme over a telephone line: 一 is read 幺 in a row of digits.
            '1' if language == Language::Zh => out.say("n-yao"),
            '0'..='9' => out.digit(u64::from(c) - u64::from('0')),
            '*' => out.say("n-star"),
            '#' => out.say("n-pound"),
            _ => {}
        }
    }
    out.fragments
}

pub fn duration_fragments(language: Language, span: Duration) -> Vec<Fragment> {
    let secs = span.as_secs();
    let (count, one, many) = match secs {
        0..90 => (secs, "t-second", "t-seconds"),
        90..5400 => ((secs + 30) / 60, "t-minute", "t-minutes"),
        _ => (secs.saturating_add(1800) / 3600, "t-hour", "t-hours"),
    };
    let mut out = Row::new(language);
    match language {
        Language::En => {
            out.english(count);
            out.say(if count == 1 { one } else { many });
        }
        Language::Zh => {
            out.measured(count);
            out.say(many);
        }
    }
    out.fragments
}

/// Before a measure word 2 is 两, else a number as it is: 两分钟, 十二分钟.
pub fn measured_fragments(language: Language, n: u64) -> Vec<Fragment> {
    let mut out = Row::new(language);
    match language {
        Language::En => out.english(n),
        Language::Zh => out.measured(n),
    }
    out.fragments
}

pub(super) fn words(fragments: &[Fragment]) -> String {
    fragments.iter().map(|fragment| fragment.words).collect::<Vec<_>>().join(" ")
}

struct Row {
    language: Language,
    fragments: Vec<Fragment>,
}

const THOUSANDS: [&str; 7] =
    ["", "n-thousand", "n-million", "n-billion", "n-trillion", "n-quadrillion", "n-quintillion"];
const ENGLISH_SMALL: [&str; 20] = [
    "n-0", "n-1", "n-2", "n-3", "n-4", "n-5", "n-6", "n-7", "n-8", "n-9", "n-10", "n-11", "n-12", "n-13",
    "n-14", "n-15", "n-16", "n-17", "n-18", "n-19",
];
const ENGLISH_TENS: [&str; 10] = ["", "n-10", "n-20", "n-30", "n-40", "n-50", "n-60", "n-70", "n-80", "n-90"];

impl Row {
    const fn new(language: Language) -> Self {
        Self { language, fragments: Vec::new() }
    }

    fn say(&mut self, name: &'static str) {
        let found = fragments(self.language).iter().find(|fragment| fragment.name == name);
        debug_assert!(found.is_some(), "no fragment {name}");
        self.fragments.extend(found);
    }

    /// 0 to 19; a Chinese row has its own tens.
    fn digit(&mut self, n: u64) {
        if let Some(name) = ENGLISH_SMALL.get(n as usize) {
            self.say(name);
        }
    }

    fn english(&mut self, n: u64) {
        if n < 20 {
            return self.digit(n);
        }
        let mut above = false;
        for (power, name) in THOUSANDS.into_iter().enumerate().rev() {
            let group = n / 1000u64.pow(power as u32) % 1000;
            if group == 0 {
                continue;
            }
            let (hundreds, below) = (group / 100, group % 100);
            if hundreds > 0 {
                self.digit(hundreds);
                self.say("n-hundred");
            }
            if below > 0 {
                // "one thousand and five", but "five thousand": only below the last hundred.
                if hundreds > 0 || (above && power == 0) {
                    self.say("n-and");
                }
                if below < 20 {
                    self.digit(below);
                } else {
                    self.say(ENGLISH_TENS[(below / 10) as usize]);
                    if below % 10 > 0 {
                        self.digit(below % 10);
                    }
                }
            }
            if power > 0 {
                self.say(name);
            }
            above = true;
        }
    }

    fn measured(&mut self, n: u64) {
        if n == 2 { self.say("n-liang") } else { self.chinese(n) }
    }

    /// Counted in ten thousands: 亿亿, 万亿, 亿, 万, ones.
    fn chinese(&mut self, n: u64) {
        const UNITS: [&[&str]; 5] = [&[], &["n-wan"], &["n-yi"], &["n-wan", "n-yi"], &["n-yi", "n-yi"]];
        if n == 0 {
            return self.say("n-0");
        }
        // A zero is said once where places are skipped between two that are not.
        let mut skipped = false;
        for (power, units) in UNITS.into_iter().enumerate().rev() {
            let group = n / 10_000u64.pow(power as u32) % 10_000;
            if group == 0 {
                skipped = true;
                continue;
            }
            let begun = !self.fragments.is_empty();
            if begun && (skipped || group < 1000) {
                self.say("n-0");
            }
            skipped = false;
            self.below_wan(group, begun, power > 0);
            // 万亿 and 亿亿 share their last 亿 with the group of 亿 that follows them.
            let between = n % 10_000u64.pow(power as u32) >= 100_000_000;
            for unit in units.iter().take(if between { 1 } else { units.len() }) {
                self.say(unit);
            }
        }
    }

    /// 1 to 9999. `begun`: something was said before it; `counted`: a 万 or 亿 follows.
    fn below_wan(&mut self, group: u64, begun: bool, counted: bool) {
        if group == 2 && counted {
            return self.say("n-liang");
        }
        let mut said = false;
        let mut skipped = false;
        for (place, unit) in [(1000, "n-thousand"), (100, "n-hundred"), (10, "n-10"), (1, "")] {
            let digit = group / place % 10;
            if digit == 0 {
                skipped = said;
                continue;
            }
            if skipped {
                self.say("n-0");
                skipped = false;
            }
            match (digit, place) {
                (2, 1000) => self.say("n-liang"),
                // 两百: as is 两千, the word before a counting unit.
                (2, 100) => self.say("n-liang"),
                // 十五, but 一百一十五.
                (1, 10) if !said && !begun => {}
                _ => self.digit(digit),
            }
            if !unit.is_empty() {
                self.say(unit);
            }
            said = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn english_numbers_are_said_as_english_is() {
        for (n, words) in [
            (0, "zero"),
            (13, "thirteen"),
            (40, "forty"),
            (105, "one hundred and five"),
            (342, "three hundred and forty two"),
            (1000, "one thousand"),
            (1005, "one thousand and five"),
            (20_311, "twenty thousand three hundred and eleven"),
            (1_000_000, "one million"),
            (2_000_090, "two million and ninety"),
            (
                u64::MAX,
                "eighteen quintillion four hundred and forty six quadrillion seven hundred and forty four \
                 trillion seventy three billion seven hundred and nine million five hundred and fifty one \
                 thousand six hundred and fifteen",
            ),
        ] {
            assert_eq!(number(Language::En, n), words);
        }
    }

    /// Pinyin as the characters it stands for, to be read by a reader of Chinese.
    fn characters(n: u64) -> String {
        let of = |fragment: &Fragment| match fragment.name {
            "n-0" => '零',
            "n-1" => '一',
            "n-2" => '二',
            "n-3" => '三',
            "n-4" => '四',
            "n-5" => '五',
            "n-6" => '六',
            "n-7" => '七',
            "n-8" => '八',
            "n-9" => '九',
            "n-10" => '十',
            "n-liang" => '两',
            "n-hundred" => '百',
            "n-thousand" => '千',
            "n-wan" => '万',
            "n-yi" => '亿',
            other => panic!("{other} in {n}"),
        };
        number_fragments(Language::Zh, n).iter().map(of).collect()
    }

    #[test]
    fn chinese_numbers_count_in_ten_thousands_and_say_skipped_places_once() {
        for (n, text) in [
            (0, "零"),
            (2, "二"),
            (10, "十"),
            (15, "十五"),
            (20, "二十"),
            (22, "二十二"),
            (100, "一百"),
            (105, "一百零五"),
            (110, "一百一十"),
            (115, "一百一十五"),
            (200, "两百"),
            (222, "两百二十二"),
            (1000, "一千"),
            (1001, "一千零一"),
            (1010, "一千零一十"),
            (1100, "一千一百"),
            (2002, "两千零二"),
            (10_000, "一万"),
            (12_000, "一万两千"),
            (10_500, "一万零五百"),
            (20_002, "两万零二"),
            (100_000, "十万"),
            (110_000, "十一万"),
            (100_010, "十万零一十"),
            (1_010_010, "一百零一万零一十"),
            (10_000_000, "一千万"),
            (100_000_000, "一亿"),
            (200_000_000, "两亿"),
            (100_000_001, "一亿零一"),
            (1_000_010_000, "十亿零一万"),
            (1_000_000_000_000, "一万亿"),
            (1_000_100_000_000, "一万零一亿"),
            (10_000_000_000_000_000, "一亿亿"),
            (10_000_000_100_000_000, "一亿零一亿"),
        ] {
            assert_eq!(characters(n), text, "{n}");
        }
    }

    #[test]
    fn digits_are_read_one_by_one() {
        assert_eq!(digits(Language::En, "+10 7#"), "one zero seven pound");
        assert_eq!(digits(Language::Zh, "110*"), "yao1 yao1 ling2 xing1 hao4");
        assert_eq!(digits(Language::Zh, ""), "");
    }

    #[test]
    fn durations_are_rounded_to_what_one_says() {
        let en = |secs| duration(Language::En, Duration::from_secs(secs));
        assert_eq!(en(1), "one second");
        assert_eq!(en(89), "eighty nine seconds");
        assert_eq!(en(90), "two minutes");
        assert_eq!(en(5399), "ninety minutes");
        assert_eq!(en(5400), "two hours");
        let zh = |secs| duration(Language::Zh, Duration::from_secs(secs));
        assert_eq!(zh(120), "liang3 fen1 zhong1");
        assert_eq!(zh(12 * 60), "shi2 er4 fen1 zhong1");
        assert_eq!(zh(7200), "liang3 xiao3 shi2");
    }

    #[test]
    fn no_number_needs_a_fragment_that_is_not_there() {
        for n in (0..20_000).chain((0..64).map(|bit| 1 << bit)).chain([u64::MAX]) {
            for language in Language::ALL {
                // `say` checks each name.
                assert!(!number_fragments(language, n).is_empty());
                duration_fragments(language, Duration::from_secs(n));
            }
        }
    }
}
