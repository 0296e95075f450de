/* The query: down the trie, then a walk to the corner of the cell. */
#include "cells.h"

#include "_cell.h"
#include "_side.h"

/* The features found for one point. */
typedef struct {
    const gw_cells *layer;
    int64_t *features;
    int64_t room, count;
    int only_first;
} finds;

/* Edges that touch a cell, and where the walk goes. */
typedef struct {
    double px, py, cx, cy;
} walk;

static void keep(finds *found, uint32_t feature)
{
    const gw_cells *layer = found->layer;

    /* No feature is found twice; only a damaged file would go on for ever. */
    if (feature >= layer->feature_count || (uint64_t)found->count >= layer->feature_count)
        return;
    if (found->only_first && found->count == 1) {
        if (found->room > 0 && layer->source[feature] < layer->source[found->features[0]])
            found->features[0] = feature;
        return;
    }
    if (found->count < found->room)
        found->features[found->count] = feature;
    found->count++;
}

/* Shell's sort with the gaps of Ciura (2001): few features as a rule, thousands at worst. */
static void sort(const finds *found)
{
    static const int64_t gaps[] = {1750, 701, 301, 132, 57, 23, 10, 4, 1};
    const uint32_t *source = found->layer->source;
    int64_t *features = found->features;

    for (unsigned i = 0; i < sizeof gaps / sizeof *gaps; i++)
        for (int64_t k = gaps[i]; k < found->count; k++) {
            const int64_t moved = features[k];
            int64_t at = k;

            for (; at >= gaps[i] && source[features[at - gaps[i]]] > source[moved]; at -= gaps[i])
                features[at] = features[at - gaps[i]];
            features[at] = moved;
        }
}

/*
 * Toggles `inside` for each edge that the walk crosses; 1 where the point is on one of them. The
 * first leg is level, so an edge on one side of the corner's x is decided as by any ray; only the
 * few that reach across it, or that have the point in their box, need an orientation.
 */
static int follow(const double *vertex, uint64_t count, const walk *way, unsigned *inside)
{
    const double px = way->px, py = way->py, cx = way->cx;
    double bx = vertex[0], by = vertex[1];

    for (uint64_t i = 1; i <= count; i++) {
        const double ax = bx, ay = by;

        bx = vertex[2 * i];
        by = vertex[2 * i + 1];
        const double left = ax < bx ? ax : bx, right = ax < bx ? bx : ax;
        const int at_py = (ay <= py) != (by <= py);
        const int at_cx = (ax <= cx) != (bx <= cx);
        int side = 0;

        if (px >= left && px <= right && (at_py || ay == py || by == py)) {
            side = gw_side(ax, ay, bx, by, px, py);
            if (side == 0)
                return 1;
        }
        if (at_cx || (at_py && px < left && right <= cx))
            *inside ^= (unsigned)gw_crosses(ax, ay, bx, by, px, py, cx, way->cy);
        else if (at_py && left > cx)
            *inside ^= side == 0 ? px > right : (side < 0) == (by > ay);
        else if (at_py && side != 0)
            *inside ^= (side > 0) == (by > ay);
    }
    return 0;
}

/* Decides the features with a side in a leaf; `at` is the word after the covers. */
static void decide(const gw_cells *layer, uint64_t at, uint32_t sides, const walk *way,
                   int with_boundary, finds *found)
{
    const uint32_t *lists = layer->lists;
    uint64_t allowed = layer->vertex_count; /* a whole file lists no edge of a cell twice */

    for (; sides > 0 && at < layer->list_words; sides--) {
        const uint32_t head = lists[at++];
        unsigned inside = head & 1;
        int is_on = 0, is_last = 0;

        while (!is_last && layer->list_words - at >= 2) {
            const uint64_t first = lists[at], count = lists[at + 1] >> 1;

            is_last = lists[at + 1] & 1;
            at += 2;
            if (count == 0 || count > allowed || first + count >= layer->vertex_count)
                return;
            allowed -= count;
            if (is_on)
                continue;
            is_on = follow(layer->coordinates + 2 * first, count, way, &inside);
        }
        if (!is_last)
            return;
        if (is_on ? with_boundary : (int)inside)
            keep(found, head >> 1);
    }
}

/* Keeps `covers` features from a list; where it ends. */
static uint64_t cover(const gw_cells *layer, uint64_t at, uint32_t covers, finds *found)
{
    if (covers > layer->list_words - at || covers > layer->feature_count)
        return layer->list_words;
    for (uint32_t i = 0; i < covers; i++)
        keep(found, layer->lists[at + i]);
    return at + covers;
}

static void locate(const gw_cells *layer, double px, double py, int with_boundary, finds *found)
{
    uint32_t x, y;
    uint64_t node = 0;

    if (!gw_cell_of(px, layer->x, layer->unit, &x) || !gw_cell_of(py, layer->y, layer->unit, &y))
        return;
    for (int shift = GW_BITS - 2; shift >= 0; shift -= 2) {
        if (node >= layer->node_count)
            return;
        const uint32_t child = ((y >> shift) & 3) << 2 | ((x >> shift) & 3);
        const uint32_t word = layer->nodes[node * GW_FANOUT + child];
        const uint32_t value = word & GW_VALUE;

        if (word == 0)
            return;
        if ((word & GW_TAG) == GW_CHILD) {
            node = value;
            continue;
        }
        if ((word & GW_TAG) == GW_WHOLE) {
            keep(found, value);
            return;
        }
        if (value + UINT64_C(2) > layer->list_words)
            return;
        if ((word & GW_TAG) == GW_LISTED) {
            node = layer->lists[value];
            cover(layer, value + UINT64_C(2), layer->lists[value + 1], found);
            continue;
        }
        const walk way = {px, py, gw_corner(x >> shift << shift, layer->x, layer->unit),
                          gw_corner(y >> shift << shift, layer->y, layer->unit)};
        const uint64_t at = cover(layer, value + UINT64_C(2), layer->lists[value], found);

        decide(layer, at, layer->lists[value + 1], &way, with_boundary, found);
        return;
    }
}

int64_t gw_cells_locate(const gw_cells *layer, const double *points, int64_t count,
                        int with_boundary, int only_first, int64_t *owners, int64_t *features,
                        int64_t room)
{
    int64_t total = 0;

    for (int64_t i = 0; i < count; i++) {
        const int64_t left = total < room ? room - total : 0;
        finds found = {layer, features + (room - left), left, 0, only_first};

        locate(layer, points[2 * i], points[2 * i + 1], with_boundary, &found);
        if (found.count <= left) {
            for (int64_t k = 0; k < found.count; k++)
                owners[total + k] = i;
            if (found.count > 1)
                sort(&found);
        }
        total += found.count;
    }
    return total;
}
