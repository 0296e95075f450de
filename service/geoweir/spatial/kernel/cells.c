/* The query: down the trie, then a walk to the corner of the cell. */
#include "cells.h"

#include "_cell.h"
#include "_side.h"

enum {
    ABREAST = 16, /* points whose memory is taken down together */
    ON_IT = 2     /* neither crosses nor doesn't */
};

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

/* Where a point's way down the trie ended. */
typedef struct {
    uint64_t node; /* the last one on the way */
    uint32_t x, y; /* the smallest cell it lies in */
    uint32_t word; /* the last one on the way; 0 where nothing is */
    int shift;     /* the bits of x and y below its cell */
    int is_listed; /* whether a cell above has covers */
} spot;

static inline void keep(finds *found, uint32_t feature)
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

/* Where a vertex lies, seen from the walk: what is true of it. */
enum { LEFT_OF_BEND = 1, LEFT_OF_POINT = 2, NOT_RIGHT = 4, NOT_ABOVE = 8, BELOW = 16, LOW = 32 };

#if defined(__GNUC__)
/* x and y at once, in the vectors that every x86-64 and AArch64 has. */
typedef double pair __attribute__((vector_size(16), aligned(8), may_alias));
typedef int64_t flags __attribute__((vector_size(16)));

static inline unsigned place_of(const double *vertex, const walk *way)
{
    const pair at = *(const pair *)vertex;
    const pair point = {way->px, way->py}, corner = {way->cx, way->cy};
    const flags is_in = ((at <= corner) & (flags){LEFT_OF_BEND, LOW}) |
                        ((at < point) & (flags){LEFT_OF_POINT, BELOW}) |
                        ((at <= point) & (flags){NOT_RIGHT, NOT_ABOVE});

    return (unsigned)(is_in[0] | is_in[1]);
}
#else
static inline unsigned place_of(const double *vertex, const walk *way)
{
    const double x = vertex[0], y = vertex[1];

    return (unsigned)(x <= way->cx) * LEFT_OF_BEND | (unsigned)(x < way->px) * LEFT_OF_POINT |
           (unsigned)(x <= way->px) * NOT_RIGHT | (unsigned)(y <= way->py) * NOT_ABOVE |
           (unsigned)(y < way->py) * BELOW | (unsigned)(y <= way->cy) * LOW;
}
#endif

/* Whether of an edge's ends some are such, and some are not such. */
#define SOME(places) ((unsigned)(places) << 8)
#define ALL(places) ((unsigned)(places))

static inline int is_like(unsigned edge, unsigned yes, unsigned no)
{
    return (edge & (yes | no)) == yes;
}

/*
 * One edge that where its ends lie doesn't decide: whether the walk crosses it, or ON_IT where the
 * point is on it.
 */
static int weigh(const double *ends, unsigned edge, int is_around, const walk *way)
{
    if (is_around) {
        const int side = gw_side(ends[0], ends[1], ends[2], ends[3], way->px, way->py);

        if (side == 0)
            return ON_IT;
        if (is_like(edge, 0, SOME(LEFT_OF_BEND)))
            return is_like(edge, SOME(NOT_ABOVE), ALL(NOT_ABOVE)) &
                   ((side < 0) == (ends[3] > ends[1]));
    }
    return gw_crosses(ends[0], ends[1], ends[2], ends[3], way->px, way->py, way->cx,
                      way->cy);
}

/*
 * Toggles `inside` for each edge that the walk crosses; 1 where the point is on one of them.
 *
 * Where an edge's ends lie decides most of them, with no branch that a processor would guess wrong:
 * the level leg crosses those that lie between the bend and the point, the upright leg those between
 * the corner and the bend. Orientations are for edges with the point in their box, and for those
 * around bend or corner; for all of them where the corner was rounded to beyond the point.
 */
static int follow(const double *vertex, uint64_t count, const walk *way, unsigned *inside)
{
    const int is_beyond = !(way->cx <= way->px && way->cy <= way->py);
    unsigned end = place_of(vertex, way);
    int odd = 0;

    for (uint64_t i = 0; i < count; i++, vertex += 2) {
        const unsigned start = end;

        end = place_of(vertex + 2, way);
        const unsigned edge = SOME(start | end) | ALL(start & end);
        const int over_level = is_like(edge, SOME(NOT_ABOVE) | ALL(LEFT_OF_POINT),
                                       ALL(NOT_ABOVE) | SOME(LEFT_OF_BEND));
        const int at_upright =
            is_like(edge, SOME(LEFT_OF_BEND | NOT_ABOVE), ALL(LEFT_OF_BEND | LOW));
        const int over_upright = at_upright & is_like(edge, ALL(NOT_ABOVE), SOME(LOW));
        const int is_around =
            is_like(edge, SOME(NOT_RIGHT | NOT_ABOVE), ALL(LEFT_OF_POINT | BELOW));
        int crossed = over_level | over_upright;

        if ((at_upright ^ over_upright) | is_around | is_beyond) {
            crossed = weigh(vertex, edge, is_around, way);
            if (crossed == ON_IT)
                return 1;
        }
        odd ^= crossed;
    }
    *inside ^= (unsigned)odd;
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

#if defined(__GNUC__)
#define PREFETCH(address) __builtin_prefetch(address)
#else
#define PREFETCH(address) ((void)(address))
#endif

/* Asks for the coordinates of a leaf's first run: to follow all the runs would cost more. */
static void fetch_run(const gw_cells *layer, uint64_t at)
{
    uint64_t run;

    if (at >= layer->list_words)
        return;
    run = at + 3 + layer->lists[at]; /* after the counts, the covers and the feature */
    if (run < layer->list_words && layer->lists[run] < layer->vertex_count)
        PREFETCH(layer->coordinates + 2 * (uint64_t)layer->lists[run]);
}

static uint32_t child_of(uint32_t x, uint32_t y, int shift)
{
    return ((y >> shift) & 3) << 2 | ((x >> shift) & 3);
}

void gw_cells_top(gw_cells *layer, uint32_t *top)
{
    for (uint32_t i = 0; i < GW_TOP; i++) {
        const uint32_t x = i % GW_TOP_SIDE << (GW_BITS - 2 * GW_TOP_LEVELS);
        const uint32_t y = i / GW_TOP_SIDE << (GW_BITS - 2 * GW_TOP_LEVELS);
        uint32_t node = 0, level = 0;

        while (level < GW_TOP_LEVELS && node < layer->node_count) {
            const int shift = GW_BITS - 2 - 2 * (int)level;
            const uint32_t word = layer->nodes[(uint64_t)node * GW_FANOUT + child_of(x, y, shift)];

            if (word == 0 || (word & GW_TAG) != GW_CHILD)
                break;
            node = word & GW_VALUE;
            level++;
        }
        top[i] = level << 30 | node;
    }
    layer->top = top;
}

/* One step down from a node; whether there is a further one. */
static int step_down(const gw_cells *layer, spot *one)
{
    uint32_t word;
    uint64_t value;

    if (one->node >= layer->node_count || one->shift < 0)
        return 0;
    word = layer->nodes[one->node * GW_FANOUT + child_of(one->x, one->y, one->shift)];
    value = word & GW_VALUE;
    if ((word & GW_TAG) == GW_LISTED) {
        if (value + 2 > layer->list_words)
            return 0;
        one->is_listed = 1;
        value = layer->lists[value];
    } else if (word == 0 || (word & GW_TAG) != GW_CHILD) {
        one->word = word;
        if ((word & GW_TAG) == GW_LEAF && value < layer->list_words)
            PREFETCH(layer->lists + value);
        return 0;
    }
    one->node = value;
    one->shift -= 2;
    if (value < layer->node_count)
        PREFETCH(layer->nodes + value * GW_FANOUT);
    return 1;
}

/*
 * Takes points down the trie, all of them abreast: what takes the time is waiting for memory, and
 * one wait serves them all. Ends with the records and the coordinates asked for that `settle` will
 * read.
 */
static void descend(const gw_cells *layer, const double *points, int count, spot *spots)
{
    int open[ABREAST], opens = 0;

    for (int i = 0; i < count; i++) {
        spot *one = &spots[i];
        uint32_t top;

        *one = (spot){0};
        if (!gw_cell_of(points[2 * i], layer->x, layer->unit, &one->x) ||
            !gw_cell_of(points[2 * i + 1], layer->y, layer->unit, &one->y))
            continue;
        top = layer->top[(one->y >> (GW_BITS - 2 * GW_TOP_LEVELS)) * GW_TOP_SIDE +
                         (one->x >> (GW_BITS - 2 * GW_TOP_LEVELS))];
        one->node = top & GW_VALUE;
        one->shift = GW_BITS - 2 - 2 * (int)(top >> 30);
        open[opens++] = i;
    }
    while (opens > 0) {
        const int before = opens;

        opens = 0;
        for (int k = 0; k < before; k++) {
            const int i = open[k];

            open[opens] = i;
            opens += step_down(layer, &spots[i]);
        }
    }
    for (int i = 0; i < count; i++)
        if ((spots[i].word & GW_TAG) == GW_LEAF)
            fetch_run(layer, spots[i].word & GW_VALUE);
}

/* Keeps what covers the cells on the way down to a spot. */
static void cover_above(const gw_cells *layer, const spot *one, finds *found)
{
    uint64_t node = 0;

    for (int shift = GW_BITS - 2; shift > one->shift && node < layer->node_count; shift -= 2) {
        const uint32_t word = layer->nodes[node * GW_FANOUT + child_of(one->x, one->y, shift)];

        node = word & GW_VALUE;
        if ((word & GW_TAG) != GW_LISTED)
            continue;
        if (node + 2 > layer->list_words)
            return;
        cover(layer, node + 2, layer->lists[node + 1], found);
        node = layer->lists[node];
    }
}

/* Finds the features of a point that has been taken down to its spot. */
static void settle(const gw_cells *layer, const double *point, const spot *one, int with_boundary,
                   finds *found)
{
    const uint32_t value = one->word & GW_VALUE;

    if (one->is_listed)
        cover_above(layer, one, found);
    if ((one->word & GW_TAG) == GW_WHOLE) {
        keep(found, value);
    } else if ((one->word & GW_TAG) == GW_LEAF && value + UINT64_C(2) <= layer->list_words) {
        const uint32_t x = one->x >> one->shift << one->shift;
        const uint32_t y = one->y >> one->shift << one->shift;
        const walk way = {point[0], point[1], gw_corner(x, layer->x, layer->unit),
                          gw_corner(y, layer->y, layer->unit)};
        const uint64_t at = cover(layer, value + UINT64_C(2), layer->lists[value], found);

        decide(layer, at, layer->lists[value + 1], &way, with_boundary, found);
    }
}

int64_t gw_cells_locate(const gw_cells *layer, const double *points, int64_t count,
                        int with_boundary, int only_first, int64_t *owners, int64_t *features,
                        int64_t room)
{
    spot spots[ABREAST];
    int64_t total = 0;

    for (int64_t i = 0; i < count; i++) {
        const int64_t left = total < room ? room - total : 0;
        finds found = {layer, features + (room - left), left, 0, only_first};

        if (i % ABREAST == 0)
            descend(layer, points + 2 * i, (int)(count - i < ABREAST ? count - i : ABREAST), spots);
        settle(layer, points + 2 * i, &spots[i % ABREAST], with_boundary, &found);
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
