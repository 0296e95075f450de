/*
 * What the builder and the query of cells have in common. Not declared to cffi.
 *
 * A cell is a square of 4^(14 - level) smallest cells a side; its corner is the lower left one. A
 * node stands for a cell and has a word for each of its 4 x 4 children, lowest row first:
 *
 *     0              nothing in it
 *     CHILD | node   split further; node 0 is the root and nobody's child
 *     WHOLE | feature    all of the cell is interior of this feature, and of no other
 *     LEAF  | at     a record in the lists: covers, sides, then the features that cover the cell,
 *                    then for each feature with a side (an edge that touches the cell):
 *                    feature * 2 + whether the corner lies in it, and runs of consecutive edges:
 *                    first vertex, count * 2 + whether it is the last run
 *     LISTED | at    split further, and covered: node, covers, then the features that cover it
 */
#ifndef GW_CELL_H
#define GW_CELL_H

#include <stdint.h>

enum {
    GW_LEVELS = 14, /* of 2 bits an axis */
    GW_BITS = 2 * GW_LEVELS,
    GW_FANOUT = 16,
    GW_TOP_LEVELS = 3, /* taken in one step, by a word for each cell: level << 30 | node */
    GW_TOP_SIDE = 1 << (2 * GW_TOP_LEVELS),
    GW_TOP = GW_TOP_SIDE * GW_TOP_SIDE
};

#define GW_TAG UINT32_C(0xC0000000)
#define GW_CHILD UINT32_C(0x00000000)
#define GW_WHOLE UINT32_C(0x40000000)
#define GW_LEAF UINT32_C(0x80000000)
#define GW_LISTED UINT32_C(0xC0000000)
#define GW_VALUE UINT32_C(0x3FFFFFFF)

/*
 * The smallest cell that a coordinate lies in: everyone asks this function, so that the cell of a
 * point is a matter of integers. Whether the coordinate is within the root at all (NaN isn't) comes
 * back; `unit` is a power of two, so only the subtraction rounds, and it does so monotonically.
 */
static inline int gw_cell_of(double value, double origin, double unit, uint32_t *cell)
{
    const double steps = (value - origin) / unit;

    if (!(steps >= 0 && steps < (double)(UINT32_C(1) << GW_BITS)))
        return 0;
    *cell = (uint32_t)steps;
    return 1;
}

/* The coordinate of a cell's corner, from the smallest cell there. */
static inline double gw_corner(uint32_t cell, double origin, double unit)
{
    return origin + (double)cell * unit;
}

#endif
