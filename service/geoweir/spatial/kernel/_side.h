/* Sides of edges, inlined where every nanosecond counts. Not declared to cffi. */
#ifndef GW_SIDE_H
#define GW_SIDE_H

#include <math.h>

#include "orient.h"

/*
 * The filter of Shewchuk (Adaptive Precision Floating-Point Arithmetic and Fast Robust Geometric
 * Predicates, 1997, section 4.3): the rounding error of the determinant is below (3 + 16e)e times
 * the sum of its products' magnitudes, e being 2^-53. It reckons without underflow and overflow, so
 * the sum must be far from both. It is the wrong filter under -ffast-math or contraction to FMA.
 */
static inline int gw_side(double ax, double ay, double bx, double by, double px, double py)
{
    const double left = (bx - ax) * (py - ay);
    const double right = (by - ay) * (px - ax);
    const double difference = left - right;
    const double sum = fabs(left) + fabs(right);

    if (fabs(difference) > 3.3306690738754716e-16 * sum && sum > 1e-290 && sum < 1e290)
        return (difference > 0) - (difference < 0);
    return gw_orient_exact(ax, ay, bx, by, px, py);
}

/*
 * The side of (px + e', py + e) with 0 < e' << e << anything: never 0 but for an edge without a
 * length (simulation of simplicity, Edelsbrunner and Mücke 1990).
 */
static inline int gw_side_beside(double ax, double ay, double bx, double by, double px, double py)
{
    const int side = gw_side(ax, ay, bx, by, px, py);

    if (side != 0)
        return side;
    if (ax != bx)
        return bx > ax ? 1 : -1;
    return (by < ay) - (by > ay);
}

/*
 * Whether the edge from a to b crosses the path from (px, py) over (cx, py) to (cx, cy), with the
 * three points moved by (e', e) as above, an odd number of times. Where p itself is not on the
 * edge, moving p or not is the same.
 */
static inline int gw_crosses(double ax, double ay, double bx, double by, double px, double py,
                             double cx, double cy)
{
    const int at_py = (ay <= py) != (by <= py);
    const int at_cx = (ax <= cx) != (bx <= cx);
    int bend, odd = 0;

    if (!at_py && !at_cx)
        return 0;
    bend = gw_side_beside(ax, ay, bx, by, cx, py);
    if (at_py)
        odd ^= gw_side_beside(ax, ay, bx, by, px, py) != bend;
    if (at_cx)
        odd ^= gw_side_beside(ax, ay, bx, by, cx, cy) != bend;
    return odd;
}

#endif
