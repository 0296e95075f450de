/*
 * Exact orientation by integers: every finite double is an integer times a power of two, so that
 * the sign of a determinant of differences is one of whole numbers of at most 4,300 bits. Ordinary
 * coordinates need two to four words a number; it is called for points within some ulps of an
 * edge's line only, so plain school multiplication does.
 */
#include "orient.h"

#include <stdint.h>

#include "_side.h"

enum {
    WORDS = 68, /* of 32 bits: 2,098 bits from the smallest to the greatest double, and a carry */
    LOWEST = -1074
};

/* A whole number times 2^base, base being common to all of a computation. */
typedef struct {
    int sign;
    uint32_t word[WORDS];
} number;

/* The value as mantissa times 2^exponent; the mantissa below 2^53. */
static uint64_t split(double value, int *exponent)
{
    const double fraction = frexp(fabs(value), exponent);
    uint64_t mantissa = (uint64_t)ldexp(fraction, 53);

    *exponent -= 53;
    while (*exponent < LOWEST) { /* denormal: the low bits are zero */
        mantissa >>= 1;
        ++*exponent;
    }
    return mantissa;
}

static void set(number *made, double value, int base, int words)
{
    int exponent;
    const uint64_t mantissa = split(value, &exponent);

    made->sign = (value > 0) - (value < 0);
    for (int i = 0; i < words; i++)
        made->word[i] = 0;
    if (made->sign == 0)
        return;

    const int at = (exponent - base) / 32, shift = (exponent - base) % 32;
    const uint64_t low = (mantissa & UINT32_MAX) << shift, high = (mantissa >> 32) << shift;
    const uint64_t middle = (low >> 32) + (high & UINT32_MAX);

    made->word[at] = (uint32_t)low;
    made->word[at + 1] = (uint32_t)middle;
    made->word[at + 2] = (uint32_t)((high >> 32) + (middle >> 32));
}

static int compare(const uint32_t *a, const uint32_t *b, int words)
{
    for (int i = words - 1; i >= 0; i--)
        if (a[i] != b[i])
            return a[i] > b[i] ? 1 : -1;
    return 0;
}

/* a + b by magnitude; no carry is left, the highest word has room. */
static void add(const number *a, const number *b, number *sum, int words)
{
    uint64_t carry = 0;

    for (int i = 0; i < words; i++) {
        carry += (uint64_t)a->word[i] + b->word[i];
        sum->word[i] = (uint32_t)carry;
        carry >>= 32;
    }
}

/* a - b by magnitude, where a is no less than b. */
static void take(const number *a, const number *b, number *rest, int words)
{
    uint64_t borrow = 0;

    for (int i = 0; i < words; i++) {
        const uint64_t word = (uint64_t)a->word[i] - b->word[i] - borrow;

        rest->word[i] = (uint32_t)word;
        borrow = word >> 63;
    }
}

static void subtract(const number *a, const number *b, number *made, int words)
{
    int order;

    if (a->sign * b->sign < 0) {
        add(a, b, made, words);
        made->sign = a->sign;
        return;
    }
    order = compare(a->word, b->word, words);
    if (order >= 0)
        take(a, b, made, words);
    else
        take(b, a, made, words);
    made->sign = order * (a->sign != 0 ? a->sign : b->sign);
}

static void multiply(const number *a, const number *b, uint32_t *product, int words)
{
    for (int i = 0; i < 2 * words; i++)
        product[i] = 0;
    for (int i = 0; i < words; i++) {
        uint64_t carry = 0;

        for (int k = 0; k < words; k++) {
            carry += (uint64_t)a->word[i] * b->word[k] + product[i + k];
            product[i + k] = (uint32_t)carry;
            carry >>= 32;
        }
        product[i + words] = (uint32_t)carry;
    }
}

int gw_orient_exact(double ax, double ay, double bx, double by, double px, double py)
{
    const double given[6] = {ax, ay, bx, by, px, py};
    number whole[6], dx, dy, ex, ey;
    uint32_t first[2 * WORDS], second[2 * WORDS];
    int base = 1024, top = LOWEST, words;

    for (int i = 0; i < 6; i++) {
        int exponent;

        if (!isfinite(given[i]))
            return 0;
        if (given[i] == 0)
            continue;
        split(given[i], &exponent);
        base = exponent < base ? exponent : base;
        top = exponent > top ? exponent : top;
    }
    if (base > top)
        return 0; /* all of them are zero */
    words = (top - base + 53 + 1) / 32 + 2; /* at most 67 */
    for (int i = 0; i < 6; i++)
        set(&whole[i], given[i], base, words);

    subtract(&whole[2], &whole[0], &dx, words);
    subtract(&whole[3], &whole[1], &dy, words);
    subtract(&whole[4], &whole[0], &ex, words);
    subtract(&whole[5], &whole[1], &ey, words);
    const int left = dx.sign * ey.sign, right = dy.sign * ex.sign;

    if (left != right)
        return left > right ? 1 : -1;
    if (left == 0)
        return 0;
    multiply(&dx, &ey, first, words);
    multiply(&dy, &ex, second, words);
    return left * compare(first, second, 2 * words);
}

int gw_orient(double ax, double ay, double bx, double by, double px, double py)
{
    return gw_side(ax, ay, bx, by, px, py);
}
