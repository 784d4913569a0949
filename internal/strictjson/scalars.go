package strictjson

import (
	"strconv"
	"strings"
	"unicode/utf16"
)

const (
	// maxExponent bounds the exponent as it is written. Every double is an
	// integer times 10^e with e from -1074 (the smallest is 2^-1074) to 308, so
	// nothing that a double can hold needs more.
	maxExponent = 1074
	// maxFraction is how many digits PostgreSQL's numeric, and with it jsonb,
	// keeps after the point once the exponent is resolved.
	maxFraction = 16_383
	// surelySmall is a length up to which a number without an exponent is in
	// the range of a double whatever its digits are: that begins at 10^-307.
	surelySmall = 300
)

const (
	outOfRange = "must be a number in the range of a double: not over 1.7976931348623157e308 in size, " +
		"not closer to zero than 5e-324, exponent at most 1074"
	tooFine = "must have at most 16383 digits after the point"
)

func (p *parser) number() error {
	start := p.pos
	p.accept('-')
	zero := p.peek() == '0'
	digits := p.digits()
	if digits == 0 {
		return p.unexpected("a digit was expected here")
	}
	if zero && digits > 1 {
		return p.fail(start, "a number may not start with a zero before other digits")
	}
	fraction := 0
	if p.accept('.') {
		if fraction = p.digits(); fraction == 0 {
			return p.unexpected("a digit was expected here")
		}
	}
	mantissa := p.text[start:p.pos]
	if p.accept('e') || p.accept('E') {
		if !p.accept('+') {
			p.accept('-')
		}
		if p.digits() == 0 {
			return p.unexpected("a digit was expected here")
		}
	}
	self := p.add(Number, start, p.pos)
	if p.pos-start > surelySmall || p.pos-start > len(mantissa) {
		p.checkRange(self, mantissa, fraction)
	}
	return nil
}

// digits skips decimal digits and counts them.
func (p *parser) digits() int {
	start := p.pos
	for isDigit(p.peek()) {
		p.pos++
	}
	return p.pos - start
}

// checkRange reports a number that jsonb or a double cannot hold.
func (p *parser) checkRange(self int, mantissa string, fraction int) {
	number := p.text[p.nodes[self].start:p.nodes[self].end]
	exponent := 0
	if len(number) > len(mantissa) {
		var err error
		exponent, err = strconv.Atoi(number[len(mantissa)+1:])
		if err != nil || exponent < -maxExponent || exponent > maxExponent {
			p.report.add(p.document, offset(self), outOfRange)
			return
		}
	}
	if fraction-exponent > maxFraction {
		p.report.add(p.document, offset(self), tooFine)
		return
	}
	double, err := strconv.ParseFloat(number, 64)
	vanished := double == 0 && strings.ContainsAny(mantissa, "123456789")
	if err != nil || vanished {
		p.report.add(p.document, offset(self), outOfRange)
	}
}

// readEscape reads the escape that s starts with, a surrogate pair as one, and
// gives its length. A mistake is a sentence for the client.
func readEscape(s string) (char rune, size int, mistake string) {
	if len(s) > 1 && s[1] == 'u' {
		return readUnicodeEscape(s)
	}
	const letters, meanings = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
	if len(s) > 1 {
		if i := strings.IndexByte(letters, s[1]); i >= 0 {
			return rune(meanings[i]), 2, ""
		}
	}
	return 0, 0, `a backslash must be followed by one of " \ / b f n r t u`
}

func readUnicodeEscape(s string) (char rune, size int, mistake string) {
	char, ok := hex4(s)
	if !ok {
		return 0, 0, `\u must be followed by four hexadecimal digits`
	}
	if !utf16.IsSurrogate(char) {
		return char, len(`\u0000`), ""
	}
	if low, ok := hex4(s[len(`\u0000`):]); ok {
		if pair := utf16.DecodeRune(char, low); pair != '\uFFFD' {
			return pair, len(`\u0000\u0000`), ""
		}
	}
	return 0, 0, "one half of a surrogate pair has no meaning without the other"
}

// hex4 reads \uXXXX at the start of s.
func hex4(s string) (rune, bool) {
	if len(s) < len(`\u0000`) || s[:2] != `\u` {
		return 0, false
	}
	code := rune(0)
	for _, c := range []byte(s[2:6]) {
		switch {
		case isDigit(c):
			code = code<<4 | rune(c-'0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			code = code<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return code, true
}
