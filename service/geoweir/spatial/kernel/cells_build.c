/*
 * The builder: from the root down, each cell given the edges that touch it, feature by feature, and
 * whether its corner lies in those features. Depth first, so what is kept at once are the edges
 * along one way down; recursion is at most GW_LEVELS deep.
 */
#include "cells.h"

#include <stdlib.h>
#include <string.h>

#include "_cell.h"
#include "_side.h"

/*
 * How often an edge may be listed, on the average: see worth_it. LEAST for any cell, and more for
 * one with more edges, up to MOST: so the leaves of a layer list at most MOST edges for each of its.
 */
#define LEAST 5.0
#define MOST 16.0

/* A growing stack of words. */
typedef struct {
    uint32_t *at;
    size_t size, room;
} words;

/* A feature with a side in the cell: its edges stand at [begin, end) of the stack of edges. */
typedef struct {
    uint32_t feature, inside;
    size_t begin, end;
} group;

typedef struct {
    group *at;
    size_t size, room;
} groups;

/* A cell on the way down; its groups and covers are the tops of their stacks, from there on. */
typedef struct {
    int level;
    uint32_t x, y;   /* the smallest cell at its corner */
    double spread;   /* how often its edges are listed by now: see worth_it */
    size_t groups, covers;
} cell;

typedef struct {
    const double *coordinates;
    double x, y, unit, pad;
    words edges; /* by first vertex */
    words masks; /* which children each edge of a cell touches, a bit each */
    words covers;
    groups groups;
    words nodes, lists;
    uint64_t leaf;
    int failed; /* what gw_cells_build returns */
} builder;

static void *grown(void *at, size_t *room, size_t wanted, size_t each)
{
    size_t more = *room < 512 ? 1024 : *room + *room / 2;

    if (wanted <= *room)
        return at;
    if (more < wanted)
        more = wanted;
    if (more > SIZE_MAX / each)
        return NULL;
    at = realloc(at, more * each);
    if (at != NULL)
        *room = more;
    return at;
}

static void push(builder *build, words *stack, uint32_t word)
{
    void *at;

    if (stack->size < stack->room) {
        stack->at[stack->size++] = word;
        return;
    }
    at = grown(stack->at, &stack->room, stack->size + 1, sizeof *stack->at);
    if (at == NULL) {
        build->failed = 1;
        return;
    }
    stack->at = at;
    stack->at[stack->size++] = word;
}

static void push_group(builder *build, group one)
{
    groups *stack = &build->groups;
    void *at = grown(stack->at, &stack->room, stack->size + 1, sizeof *stack->at);

    if (at == NULL) {
        build->failed = 1;
        return;
    }
    stack->at = at;
    stack->at[stack->size++] = one;
}

static uint32_t side_of(int level)
{
    return UINT32_C(1) << 2 * (GW_LEVELS - level);
}

/* Where the next record of a stack will stand; fails where a word can't say so. */
static uint32_t next_of(builder *build, const words *stack, size_t each)
{
    if (stack->size / each >= GW_VALUE)
        build->failed = build->failed != 0 ? build->failed : 2;
    return (uint32_t)(stack->size / each) & GW_VALUE;
}

static void list_covers(builder *build, const cell *one)
{
    for (size_t i = one->covers; i < build->covers.size; i++)
        push(build, &build->lists, build->covers.at[i]);
}

/* The runs of a group's edges, which ascend. */
static void list_runs(builder *build, const group *one)
{
    const uint32_t *edges = build->edges.at;
    size_t from = one->begin;

    while (from < one->end) {
        size_t to = from + 1;

        while (to < one->end && edges[to] == edges[to - 1] + 1)
            to++;
        push(build, &build->lists, edges[from]);
        push(build, &build->lists, (uint32_t)(to - from) << 1 | (to == one->end));
        from = to;
    }
}

static uint32_t leaf_of(builder *build, const cell *one)
{
    const size_t covers = build->covers.size - one->covers;
    const size_t sides = build->groups.size - one->groups;
    uint32_t at;

    if (sides == 0 && covers == 0)
        return 0;
    if (sides == 0 && covers == 1)
        return GW_WHOLE | build->covers.at[one->covers];
    at = next_of(build, &build->lists, 1);
    push(build, &build->lists, (uint32_t)covers);
    push(build, &build->lists, (uint32_t)sides);
    list_covers(build, one);
    for (size_t i = one->groups; i < build->groups.size; i++) {
        const group *each = &build->groups.at[i];

        push(build, &build->lists, each->feature << 1 | each->inside);
        list_runs(build, each);
    }
    return GW_LEAF | at;
}

/*
 * Which of four intervals of `side` from `low` on the numbers from `from` to `to` reach into, the
 * intervals a little wider than they are: as bits.
 */
static unsigned reach(double from, double to, double low, double side, double pad)
{
    unsigned bits = 0;

    for (int i = 0; i < 4; i++)
        if (!(to < low + i * side - pad || from > low + (i + 1) * side + pad))
            bits |= 1U << i;
    return bits;
}

/*
 * The children that an edge touches; one too many does no harm, one too few would. What spans
 * several columns and rows must also have corners of the child's box on both sides of its line, or
 * nearly so: |d x (middle - a)| <= d x half a box, with room for the rounding of either.
 */
static uint32_t touched(const builder *build, const cell *one, const double *a, const double *b)
{
    const double side = side_of(one->level + 1) * build->unit, pad = build->pad;
    const double x = gw_corner(one->x, build->x, build->unit);
    const double y = gw_corner(one->y, build->y, build->unit);
    const double dx = b[0] - a[0], dy = b[1] - a[1], half = side / 2 + pad;
    const unsigned columns = reach(fmin(a[0], b[0]), fmax(a[0], b[0]), x, side, pad);
    const unsigned rows = reach(fmin(a[1], b[1]), fmax(a[1], b[1]), y, side, pad);
    const int is_plain = (columns & (columns - 1)) == 0 || (rows & (rows - 1)) == 0;
    uint32_t mask = 0;

    for (int row = 0; row < 4; row++) {
        const double my = y + (row + 0.5) * side - a[1];

        if ((rows >> row & 1) == 0)
            continue;
        for (int column = 0; column < 4; column++) {
            const double mx = x + (column + 0.5) * side - a[0];
            const double level = dx * my, upright = dy * mx;
            const double near = (fabs(dx) + fabs(dy)) * half * (1 + 1e-12);

            if ((columns >> column & 1) == 0)
                continue;
            if (is_plain || !(fabs(level - upright) >
                              near + 1e-14 * (fabs(level) + fabs(upright)) + 1e-300))
                mask |= UINT32_C(1) << (4 * row + column);
        }
    }
    return mask;
}

/* Whether the corner of the child lies in the group's feature: by a walk to the cell's corner. */
static uint32_t inside_at(const builder *build, const cell *one, const cell *child,
                          const group *each)
{
    const double px = gw_corner(child->x, build->x, build->unit);
    const double py = gw_corner(child->y, build->y, build->unit);
    const double cx = gw_corner(one->x, build->x, build->unit);
    const double cy = gw_corner(one->y, build->y, build->unit);
    uint32_t inside = each->inside;

    if (px == cx && py == cy)
        return inside;
    for (size_t i = each->begin; i < each->end; i++) {
        const double *a = build->coordinates + 2 * (size_t)build->edges.at[i], *b = a + 2;

        inside ^= (uint32_t)gw_crosses(a[0], a[1], b[0], b[1], px, py, cx, cy);
    }
    return inside;
}

/* Puts what a child has of its parent's edges and features on top of the stacks. */
static void descend(builder *build, const cell *one, size_t groups_end, size_t masks, int number,
                    cell *child)
{
    const uint32_t side = side_of(one->level + 1);

    child->x = one->x + (uint32_t)(number & 3) * side;
    child->y = one->y + (uint32_t)(number >> 2) * side;
    child->groups = build->groups.size;
    child->covers = build->covers.size;
    for (size_t i = one->groups; i < groups_end && build->failed == 0; i++) {
        const group each = build->groups.at[i];
        const uint32_t inside = inside_at(build, one, child, &each);
        const size_t begin = build->edges.size;

        for (size_t k = each.begin; k < each.end; k++, masks++)
            if (build->masks.at[masks] >> number & 1)
                push(build, &build->edges, build->edges.at[k]);
        if (build->edges.size > begin)
            push_group(build, (group){each.feature, inside, begin, build->edges.size});
        else if (inside)
            push(build, &build->covers, each.feature);
    }
}

static uint64_t edges_of(const builder *build, const cell *one)
{
    uint64_t edges = 0;

    for (size_t i = one->groups; i < build->groups.size; i++)
        edges += build->groups.at[i].end - build->groups.at[i].begin;
    return edges;
}

/* Puts the masks of all of a cell's edges on their stack; how many edges its children would have. */
static uint64_t mask_edges(builder *build, const cell *one)
{
    uint64_t sum = 0;

    for (size_t i = one->groups; i < build->groups.size; i++) {
        const group *each = &build->groups.at[i];

        for (size_t k = each->begin; k < each->end && build->failed == 0; k++) {
            const double *a = build->coordinates + 2 * (size_t)build->edges.at[k];
            const uint32_t mask = touched(build, one, a, a + 2);

            push(build, &build->masks, mask);
            for (uint32_t rest = mask; rest != 0; rest &= rest - 1)
                sum++;
        }
    }
    return sum;
}

/*
 * Whether a cell is worth splitting. Splitting makes a cell cheaper and lists edges once more for
 * each further child they touch: hardly any while they are short for the cell, four times as many
 * where they are long. `spread` is the product of those ratios along the way down. No star, sliver
 * or overlap can make more of the edges than MOST times as many: if below each child that is so,
 * it is so below the cell.
 */
static int worth_it(const builder *build, const cell *one, uint64_t edges, double spread)
{
    const double deserved = (double)edges / (double)build->leaf;

    return one->level == 0 || spread <= fmin(MOST, fmax(LEAST, deserved));
}

/* Builds what is below a cell; the word for it. The root is always a node. */
static uint32_t word_of(builder *build, const cell *one)
{
    const size_t groups_end = build->groups.size, covers_end = build->covers.size;
    const size_t edges_end = build->edges.size, masks = build->masks.size;
    const uint64_t edges = edges_of(build, one);
    cell child = {.level = one->level + 1};
    uint32_t node, at;

    if (build->failed != 0)
        return 0;
    if (one->level == GW_LEVELS || (one->level > 0 && edges <= build->leaf))
        return leaf_of(build, one);
    child.spread = one->spread * (double)mask_edges(build, one) / (double)(edges + (edges == 0));
    if (!worth_it(build, one, edges, child.spread)) {
        build->masks.size = masks;
        return leaf_of(build, one);
    }
    node = next_of(build, &build->nodes, GW_FANOUT);
    for (int i = 0; i < GW_FANOUT; i++)
        push(build, &build->nodes, 0);
    for (int i = 0; i < GW_FANOUT && build->failed == 0; i++) {
        descend(build, one, groups_end, masks, i, &child);
        const uint32_t word = word_of(build, &child);

        if (build->failed == 0)
            build->nodes.at[(size_t)node * GW_FANOUT + (size_t)i] = word;
        build->groups.size = groups_end;
        build->covers.size = covers_end;
        build->edges.size = edges_end;
    }
    build->masks.size = masks;
    if (covers_end == one->covers)
        return GW_CHILD | node;
    at = next_of(build, &build->lists, 1);
    push(build, &build->lists, node);
    push(build, &build->lists, (uint32_t)(covers_end - one->covers));
    list_covers(build, one);
    return GW_LISTED | at;
}

/* The root: a square of a power of two that holds the limits and, strictly, its own corner. */
static int frame(builder *build, const double *limits)
{
    const double most = fmax(fmax(fabs(limits[0]), fabs(limits[1])),
                             fmax(fabs(limits[2]), fabs(limits[3])));
    const double extent = fmax(limits[2] - limits[0], limits[3] - limits[1]);
    double margin;
    int exponent;

    /* Also false for NaN. The margin is far above the rounding of anything within the square. */
    if (!(most <= 0x1p900 && extent >= 0x1p-900))
        return 2;
    margin = extent * 0x1p-20 + most * 0x1p-48;
    build->x = limits[0] - margin;
    build->y = limits[1] - margin;
    frexp(extent + 4 * margin, &exponent);
    build->unit = ldexp(1, exponent - GW_BITS);
    build->pad = (most + extent) * 0x1p-50;
    return 0;
}

/* All edges with a length, below one group for each feature. Rings are closed. */
static void push_all(builder *build, const uint64_t *rings, const uint64_t *features,
                     const uint8_t *skipped, uint64_t feature_count)
{
    for (uint64_t i = 0; i < feature_count && build->failed == 0; i++) {
        const size_t begin = build->edges.size;

        for (uint64_t ring = features[i]; skipped[i] == 0 && ring < features[i + 1]; ring++)
            for (uint64_t k = rings[ring]; k + 1 < rings[ring + 1]; k++) {
                const double *a = build->coordinates + 2 * k;

                if (a[0] != a[2] || a[1] != a[3])
                    push(build, &build->edges, (uint32_t)k);
            }
        if (build->edges.size > begin)
            push_group(build, (group){(uint32_t)i, 0, begin, build->edges.size});
    }
}

int gw_cells_build(const double *coordinates, uint64_t vertex_count, const uint64_t *rings,
                   const uint64_t *features, const uint8_t *skipped, uint64_t feature_count,
                   const double *limits, int leaf, gw_cells_built *built)
{
    builder build = {.coordinates = coordinates, .leaf = (uint64_t)leaf};
    const cell root = {.spread = 1};

    memset(built, 0, sizeof *built);
    if (vertex_count > UINT32_MAX / 2 || feature_count > GW_VALUE || frame(&build, limits) != 0)
        return 2;
    push_all(&build, rings, features, skipped, feature_count);
    word_of(&build, &root);
    free(build.edges.at);
    free(build.masks.at);
    free(build.covers.at);
    free(build.groups.at);
    if (build.failed != 0) {
        free(build.nodes.at);
        free(build.lists.at);
        return build.failed;
    }
    *built = (gw_cells_built){build.x,          build.y,        build.unit,      build.nodes.at,
                              build.nodes.size, build.lists.at, build.lists.size};
    return 0;
}

void gw_words_free(uint32_t *words)
{
    free(words);
}
